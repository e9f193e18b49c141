//! What may be a secret although it stands where none belongs: it is never shown.

use zeroize::Zeroizing;

/// What is shown in place of a secret.
pub(crate) const MASK: &str = "(masked)";

/// Shorter values of variables are no secrets, and would be found in words that have nothing to do with them.
const SECRET_BYTES_MIN: usize = 6;
/// Hexadecimal digits of the shortest secret of a key: 32 bytes.
const HEX_DIGITS_MIN: usize = 64;
/// Characters of 32 bytes in base64, without and with its padding.
const BASE64_CHARACTERS: [usize; 2] = [43, 44];

/// True of names of variables and files that hold secrets, as `API_SECRET`; not of those that say where one is, as
/// `KEY_FILE`.
pub(crate) fn is_secret_name(name: &str) -> bool {
    const SECRET: [&str; 13] = [
        "SECRET",
        "SECRETS",
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "TOKEN",
        "CREDENTIAL",
        "CREDENTIALS",
        "KEY",
        "APIKEY",
        "PRIVATE",
        "SEED",
        "PIN",
    ];
    const PLACE: [&str; 8] = ["FILE", "PATH", "DIRECTORY", "DIR", "FOLDER", "ID", "NAME", "URL"];
    let name = name.to_ascii_uppercase();
    let mut words = name.split(['_', '-', '.']);
    !words.clone().next_back().is_some_and(|last| PLACE.contains(&last))
        && words.any(|word| SECRET.contains(&word) || word.ends_with("SECRET") || word.ends_with("PASSWORD"))
}

/// True of what looks like the secret of a key: 64 hexadecimal digits or more, or 32 bytes in base64.
pub(crate) fn looks_secret(word: &str) -> bool {
    if word.len() >= HEX_DIGITS_MIN && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return true;
    }
    let digits = word.trim_end_matches('=');
    let of_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    let has = |class: fn(&u8) -> bool| digits.bytes().any(|byte| class(&byte));
    BASE64_CHARACTERS.contains(&word.len())
        && digits.len() == BASE64_CHARACTERS[0]
        && digits.bytes().all(of_base64)
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        // A path or a name has words in it, 32 random bytes have none.
        && digits.split(['/', '-', '_', '+']).count() <= 8
}

/// `text` without the `secrets`, and without what looks like one.
pub(crate) fn masked(text: &str, secrets: &[Zeroizing<String>]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= SECRET_BYTES_MIN) {
        if text.contains(secret.as_str()) {
            text = text.replace(secret.as_str(), MASK);
        }
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_' | '=');
    if text.len() < BASE64_CHARACTERS[0] || !text.split(|c| !is_part(c)).any(has_secret) {
        return text;
    }
    let mut result = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(start) = rest.find(is_part) {
        let end = rest[start..].find(|c| !is_part(c)).map_or(rest.len(), |length| start + length);
        result.push_str(&rest[..start]);
        result.push_str(if has_secret(&rest[start..end]) { MASK } else { &rest[start..end] });
        rest = &rest[end..];
    }
    result.push_str(rest);
    result
}

/// The word itself, or a part of it between the signs that join words and paths.
fn has_secret(word: &str) -> bool {
    looks_secret(word) || word.split(['/', '-', '_', '=', '+']).any(looks_secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_and_names_of_places_are_none() {
        for name in ["SECRET", "API_KEY", "TOLLGATE_KEY_SECRET", "db-password", "client.secret", "MYSECRET"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in
            ["HOME", "TOLLGATE_KEY_FILE", "KEYS_FILE", "KEY_ID", "TOLLGATE_DIRECTORY", "MONKEY", "STATE"]
        {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn secrets_are_seen_by_their_form_and_other_words_stay() {
        let hex = "5ec12e70".repeat(8);
        let base64 = "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k";
        for secret in [hex.as_str(), base64, &format!("{base64}=")] {
            assert!(looks_secret(secret), "{secret}");
            let text = format!("client[0].name = \"{secret}\": has 64 bytes");
            assert_eq!(masked(&text, &[]), "client[0].name = \"(masked)\": has 64 bytes");
        }
        assert_eq!(masked(&format!("/etc/{hex}"), &[]), MASK);
        for plain in [
            "/var/lib/tollgate/paper-BinanceFutures2024.ledger",
            "the-quick-Brown-fox-jumps-over-the-lazy-dog1",
            "risk.firm.max_orders_per_second",
            &hex[..63],
        ] {
            assert_eq!(masked(plain, &[]), plain);
        }
    }

    #[test]
    fn known_secrets_are_masked_wherever_they_stand() {
        let secrets = [Zeroizing::new("hunter22".to_owned()), Zeroizing::new("is".to_owned())];
        assert_eq!(masked("it is hunter22!", &secrets), "it is (masked)!");
    }
}
