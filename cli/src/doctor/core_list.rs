//! Lists of cores, as the kernel writes them: `0-3,8`.

use std::collections::BTreeSet;
use std::fmt;

/// No kernel has cores with higher numbers.
const CORE_MAX: usize = 65_535;

/// A set of cores.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct CoreList(BTreeSet<usize>);

impl CoreList {
    /// Reads a list; `None` when it is none. An empty text and `(null)` are the empty list.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text == "(null)" {
            return Some(Self::default());
        }
        let mut cores = BTreeSet::new();
        for range in text.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            if first > last || last > CORE_MAX {
                return None;
            }
            cores.extend(first..=last);
        }
        Some(Self(cores))
    }

    pub(crate) fn contains(&self, core: usize) -> bool {
        self.0.contains(&core)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn last(&self) -> Option<usize> {
        self.0.last().copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().copied()
    }

    /// The cores of both lists.
    pub(crate) fn with(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).copied().collect())
    }

    /// The list without one core.
    pub(crate) fn without(&self, core: usize) -> Self {
        Self(self.iter().filter(|other| *other != core).collect())
    }
}

/// As the kernel writes it; "none" when it is empty.
impl fmt::Display for CoreList {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        for core in self.iter() {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == core => *last = core,
                _ => ranges.push((core, core)),
            }
        }
        let range = |(first, last): &(usize, usize)| {
            if first == last { first.to_string() } else { format!("{first}-{last}") }
        };
        match ranges.as_slice() {
            [] => formatter.write_str("none"),
            ranges => formatter.write_str(&ranges.iter().map(range).collect::<Vec<_>>().join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn lists_are_read_and_written_as_the_kernel_does() {
        for (text, cores, shown) in [
            ("", vec![], "none"),
            ("(null)", vec![], "none"),
            ("0\n", vec![0], "0"),
            ("0-3,8", vec![0, 1, 2, 3, 8], "0-3,8"),
            ("2,0,1", vec![0, 1, 2], "0-2"),
        ] {
            let list = CoreList::parse(text).unwrap();
            assert_eq!((list.iter().collect::<Vec<_>>(), list.to_string().as_str()), (cores, shown));
        }
        assert_eq!(CoreList::parse("0-3").unwrap().without(2).to_string(), "0-1,3");
        for wrong in ["x", "3-1", "0-", "-1", "0-99999999999", "0-65536", "1,,2"] {
            assert_eq!(CoreList::parse(wrong), None, "{wrong}");
        }
    }
}
