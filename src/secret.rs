//! Credentials: how they are told, by names and by themselves.

use std::ops::Range;

use crate::value::Value;

/// Whether a key of this name holds a credential wherever it stands.
pub(crate) fn is_secret_name(key: &str) -> bool {
    let whole = [
        "auth",
        "authorization",
        "cookie",
        "credential",
        "credentials",
        "passwd",
        "proxy-authorization",
    ];
    let ends = [
        "password",
        "passphrase",
        "secret",
        "token",
        "apikey",
        "api_key",
        "api-key",
    ];
    let ends_with = |end: &str| {
        let tail = key
            .len()
            .checked_sub(end.len())
            .and_then(|at| key.get(at..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(end))
    };
    whole.iter().any(|name| key.eq_ignore_ascii_case(name)) || ends.into_iter().any(ends_with)
}

/// Whether a text gives something such a name: `password=…`, `token: …`.
pub(crate) fn assigns_secret(text: &str) -> bool {
    text.match_indices(['=', ':']).any(|(at, _)| {
        let before = text.get(..at).unwrap_or("");
        let before = before.trim_end_matches([' ', '\t', '"', '\'', ']']);
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let name = before.rsplit(|c| !is_part(c)).next();
        name.is_some_and(|name| is_secret_name(name.trim_start_matches('-')))
    })
}

/// Whether a value holds a credential by itself: a URL with a user in it, an
/// assignment, or a table with a key of such a name.
pub(crate) fn is_secret_value(value: &Value) -> bool {
    match value {
        Value::String(text) => has_user(text) || assigns_secret(text),
        Value::Array(items) => {
            // An option of a command, and what it is set to.
            let names = items.iter().skip(1).zip(items).map(|(_, name)| name);
            let mut names = names.filter_map(Value::as_str);
            let is_option = |text: &str| {
                let name = text.trim_start_matches('-');
                name.len() < text.len() && is_secret_name(name)
            };
            items.iter().any(is_secret_value) || names.any(is_option)
        }
        Value::Table(table) => table
            .iter()
            .any(|(key, value)| is_secret_name(key) || is_secret_value(value)),
        _ => false,
    }
}

/// The users in a text: what stands in front of the `@` of `https://user@host`
/// and `user:password@host`.
fn users(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.match_indices('@').filter_map(|(at, _)| {
        let (before, behind) = (text.get(..at)?, text.get(at + 1..)?);
        let ends = |c: char| c.is_whitespace() || "\"'`<>(),;={}@".contains(c);
        let tail = |ends: &dyn Fn(char) -> bool| before.rsplit(ends).next().unwrap_or(before);
        // A password may have blanks, which makes it no URL to anybody.
        let quoted = tail(&|c| "\"'`@\n".contains(c)).rsplit_once("//");
        let blanks = quoted.filter(|(_, user)| user.contains(':'));
        let word = tail(&ends);
        // `pause:3.9@sha256:…`
        let is_digest = ["sha256:", "sha384:", "sha512:"]
            .iter()
            .any(|name| behind.starts_with(name));
        let is_host = behind.starts_with(|c: char| c.is_alphanumeric() || c == '[' || c == '%');
        let (has_scheme, user) = match word.rsplit_once("//").or(blanks) {
            Some((_, user)) => (true, user),
            None => (false, word),
        };
        // A path may have the sign as well; a password should not have a slash.
        let authority = user.split(['/', '?', '#']).next().unwrap_or(user);
        let password = authority.split_once(':').map(|(_, password)| password);
        let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let in_path = authority.len() < user.len() && password.is_none_or(is_port);
        let is_user = match has_scheme {
            true => !user.is_empty() && !in_path,
            false => password.is_some() && is_host && !in_path,
        };
        (is_user && !is_digest).then(|| at - user.len()..at)
    })
}

/// Whether there is a user in a text.
pub(crate) fn has_user(text: &str) -> bool {
    users(text).next().is_some()
}

/// A text as it may be shown: without users.
pub(crate) fn without_user(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for user in users(text) {
        shown.push_str(text.get(at..user.start).unwrap_or(""));
        shown.push('…');
        at = user.end;
    }
    shown.push_str(text.get(at..).unwrap_or(""));
    shown
}

/// A message as it may be shown: without users, and without quotations that
/// assign something to the name of a credential.
pub(crate) fn shown_message(text: &str) -> String {
    let text = without_user(text);
    if !assigns_secret(&text) {
        return text;
    }
    let parts = text.split('"').enumerate();
    let parts = parts.map(|(at, part)| match at % 2 == 1 && assigns_secret(part) {
        true => "…",
        false => part,
    });
    parts.collect::<Vec<_>>().join("\"")
}

/// Whether a comment may hold a credential. It need not be written like a
/// setting.
pub(crate) fn is_secret_comment(line: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    // What every other comment is about.
    let is_said = |word: &str| is_secret_name(word) && !word.eq_ignore_ascii_case("auth");
    let mut words = line.split(|c| !is_part(c));
    assigns_secret(line) || has_user(line) || words.any(|word| is_said(word.trim_matches('-')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_that_may_hold_a_credential() {
        for line in [
            "# old password hunter2",
            "# password: x",
            "# curl -H 'Authorization: x'",
            "# https://u:p@h",
            "# --token x",
            "# auth = x",
        ] {
            assert!(is_secret_comment(line), "{line}");
        }
        for line in [
            "# auth is done elsewhere",
            "# slow registry",
            "# see https://example.com/a@b",
        ] {
            assert!(!is_secret_comment(line), "{line}");
        }
    }

    #[test]
    fn users_in_texts() {
        for (text, shown) in [
            ("https://u:p@h/x", "https://…@h/x"),
            ("h://h@x", "h://…@x"),
            ("u:p@h:5000/x", "…@h:5000/x"),
            ("https://a https://u:p@b", "https://a https://…@b"),
            ("x \"https://u:p@b\" y", "x \"https://…@b\" y"),
            ("https://u:a/b@h", "https://…@h"),
            ("https://u@h", "https://…@h"),
            ("https://u:a b@h", "https://…@h"),
        ] {
            assert_eq!(without_user(text), shown);
        }
        for text in [
            "pause:3.9@sha256:00",
            "h:5000/pause:3.9@sha256:00",
            "https://h/a@b",
            "https://h:5000/a@b",
            "me@example.com",
            "https://@h",
            "a:@",
            "",
        ] {
            assert_eq!(without_user(text), text);
        }
    }

    #[test]
    fn messages_quote_no_credential() {
        assert_eq!(
            shown_message("the handler \"password=x\" is none"),
            "the handler \"…\" is none"
        );
        assert_eq!(shown_message("write \"token\" = 1"), "write \"token\" = 1");
    }

    #[test]
    fn options_of_commands() {
        let list = |items: &[&str]| {
            Value::Array(
                items
                    .iter()
                    .map(|item| Value::String((*item).to_owned()))
                    .collect(),
            )
        };
        assert!(is_secret_value(&list(&["--token", "x"])));
        assert!(!is_secret_value(&list(&["--token"])));
        assert!(!is_secret_value(&list(&["token", "x"])));
        assert!(is_secret_value(&list(&["TOKEN=x"])));
    }
}
