//! Credentials: how they are told, by names and by themselves.

use crate::value::Value;

/// Whether a key of this name holds a credential wherever it stands.
pub(crate) fn is_secret_name(key: &str) -> bool {
    let whole = [
        "auth",
        "authorization",
        "cookie",
        "passwd",
        "proxy-authorization",
    ];
    let ends = ["password", "secret", "token"];
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
        Value::String(text) => user_of(text).is_some() || assigns_secret(text),
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

/// The part of a URL in front of its host, `user:password@`.
fn user_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("//")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    authority.rsplit_once('@').map(|(user, _)| user)
}

/// Whether there is a URL with a user in a text.
pub(crate) fn has_user(text: &str) -> bool {
    user_of(text).is_some_and(|user| !user.is_empty())
}

/// A key as it may be shown: URLs without their user.
pub(crate) fn without_user(key: &str) -> String {
    match user_of(key) {
        Some(user) if !user.is_empty() => key.replacen(user, "…", 1),
        _ => key.to_owned(),
    }
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
