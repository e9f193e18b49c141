//! The page: everything in one file, for light and dark, screen and paper.

use std::fmt::Write;

use super::escape;
use super::plot::draw;
use super::{Section, State};

const STYLE: &str = "
:root{--back:#fdfdfc;--front:#1d2430;--soft:#667085;--line:#d5d9e0;--card:#fff;--met:#12715b;--first:#8a5a00;--not:#b3261e;
--s0:#0072b2;--s1:#d55e00;--s2:#009e73;--s3:#cc79a7;--s4:#8a7400;--s5:#56b4e9}
@media(prefers-color-scheme:dark){:root{--back:#14171c;--front:#e7e9ee;--soft:#9aa3b2;--line:#363c47;--card:#1b1f26;--met:#4cc9a4;
--first:#e5b455;--not:#ff8a80;--s0:#56a8e0;--s1:#ff8d4d;--s2:#35c79a;--s3:#e5a2c8;--s4:#d9c34a;--s5:#8fd0f5}}
*{box-sizing:border-box}body{margin:0 auto;padding:2rem 1.25rem 4rem;max-width:72rem;background:var(--back);color:var(--front);
font:16px/1.5 system-ui,sans-serif}h1{font-size:1.7rem;margin:0 0 .3rem}h2{font-size:1.25rem;margin:2.6rem 0 .4rem}
p{max-width:46rem}.facts{color:var(--soft);font-size:.85rem;display:flex;flex-wrap:wrap;gap:.1rem 1.4rem}
ul.verdicts{list-style:none;padding:0;margin:1rem 0;display:grid;gap:.3rem}ul.verdicts li{padding-left:1.7rem;text-indent:-1.7rem}
.mark{display:inline-block;width:1.7rem;text-indent:0;font-weight:700}.met .mark{color:var(--met)}.first .mark{color:var(--first)}
.not .mark{color:var(--not)}figure{margin:1rem 0;padding:1rem;overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:8px}
figcaption{font-weight:600;margin-bottom:.4rem}svg{width:100%;min-width:40rem;height:auto;display:block}svg text{fill:var(--front);font:12px system-ui,sans-serif}
svg .soft{fill:var(--soft)}.grid{stroke:var(--line);stroke-width:1}.goal{stroke:var(--not);stroke-width:1.5;stroke-dasharray:5 4}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem;margin:1rem 0}
th,td{padding:.25rem .7rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}th:first-child,td:first-child{text-align:left}
@media print{body{max-width:none}figure{break-inside:avoid}}";

/// The whole page; `facts` say what it was measured on, and with which command.
pub(crate) fn page(title: &str, facts: &[(String, String)], sections: &[Section]) -> String {
    let mut out = String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    let _ = writeln!(out, "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
    let _ = writeln!(out, "<title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>", escape(title));
    let _ = writeln!(out, "<h1>{}</h1>\n<div class=\"facts\">", escape(title));
    for (name, value) in facts {
        let _ = writeln!(out, "<span>{}: {}</span>", escape(name), escape(value));
    }
    out.push_str("</div>\n");
    for (number, section) in sections.iter().enumerate() {
        verdicts(&mut out, section, Some(number));
    }
    for (number, section) in sections.iter().enumerate() {
        let _ = writeln!(out, "<section id=\"s{number}\">\n<h2>{}</h2>", escape(&section.title));
        let _ = writeln!(out, "<p>{}</p>", escape(&section.explanation));
        verdicts(&mut out, section, None);
        for plot in &section.plots {
            out.push_str(&draw(plot));
        }
        table(&mut out, &section.table);
        out.push_str("</section>\n");
    }
    out.push_str("</body>\n</html>\n");
    out
}

fn verdicts(out: &mut String, section: &Section, link: Option<usize>) {
    if section.verdicts.is_empty() {
        return;
    }
    out.push_str("<ul class=\"verdicts\">\n");
    for verdict in &section.verdicts {
        let (class, mark) = match verdict.state {
            State::Met => ("met", "✓"),
            State::FirstRelease => ("first", "≈"),
            State::NotMet => ("not", "✗"),
        };
        let text = escape(&verdict.text);
        let text = link.map_or(text.clone(), |number| {
            format!("<a href=\"#s{number}\" style=\"color:inherit\">{}</a>: {text}", escape(&section.title))
        });
        let _ = writeln!(out, "<li class=\"{class}\"><span class=\"mark\">{mark}</span>{text}</li>");
    }
    out.push_str("</ul>\n");
}

fn table(out: &mut String, rows: &[Vec<String>]) {
    if rows.is_empty() {
        return;
    }
    out.push_str("<div class=\"scroll\"><table>\n");
    for (number, row) in rows.iter().enumerate() {
        let cell = if number == 0 { "th" } else { "td" };
        out.push_str("<tr>");
        for value in row {
            let _ = write!(out, "<{cell}>{}</{cell}>", escape(value));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table></div>\n");
}

#[cfg(test)]
mod tests {
    use super::super::{Plot, Verdict, histogram};
    use super::*;

    /// Every element that is opened is closed, in order.
    fn is_balanced(page: &str) -> bool {
        let mut open: Vec<&str> = Vec::new();
        let mut rest = page;
        while let Some(start) = rest.find('<') {
            let Some(end) = rest[start..].find('>') else { return false };
            let tag = &rest[start + 1..start + end];
            rest = &rest[start + end + 1..];
            let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
            if tag.starts_with('!') || tag.ends_with('/') || name == "meta" {
                continue;
            }
            if !tag.starts_with('/') {
                open.push(name);
            } else if open.pop() != Some(name) {
                return false;
            }
        }
        open.is_empty()
    }

    #[test]
    fn is_well_formed_whatever_it_shows() {
        let values: Vec<u64> = (1..1000).collect();
        let empty = histogram(std::iter::empty());
        let plots = vec![
            Plot::Percentiles {
                title: "a < b".to_owned(),
                series: vec![
                    ("x".to_owned(), histogram([values.as_slice()].into_iter())),
                    ("none".to_owned(), empty),
                ],
            },
            Plot::Lines {
                title: "l".to_owned(),
                across: "rate".to_owned(),
                upward: "µs".to_owned(),
                logarithmic: (true, true),
                series: vec![("one".to_owned(), vec![(1.0, 2.0)]), ("none".to_owned(), Vec::new())],
            },
            Plot::Bars {
                title: "b".to_owned(),
                unit: "ns".to_owned(),
                bars: vec![("zero".to_owned(), 0.0)],
                mark: Some(("goal".to_owned(), 5.0)),
            },
            Plot::Spreads {
                title: "s".to_owned(),
                unit: "×".to_owned(),
                rows: vec![("equal".to_owned(), [1.0; 5])],
                marks: vec![("goal".to_owned(), 1.4)],
            },
        ];
        let section = Section {
            title: "<script>".to_owned(),
            explanation: "\"quoted\" & more".to_owned(),
            verdicts: vec![Verdict { state: State::Met, text: "1 < 2".to_owned() }],
            plots,
            table: vec![vec!["a".to_owned()], vec!["<b>".to_owned()]],
        };
        let page = page("t", &[("machine".to_owned(), "<x>".to_owned())], &[section]);
        assert!(is_balanced(&page), "{page}");
        assert!(!page.contains("<script>") && !page.contains("NaN") && !page.contains("inf"), "{page}");
    }
}
