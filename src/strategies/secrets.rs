//! Where people put credentials.

use proptest::prelude::*;

use super::plainest::below;
use super::settings::Edit;
use crate::containerd::plugin;
use crate::value::Value;

/// The place that is no key.
pub(super) const COMMENT: usize = 10;

/// Numbers of places; none where nothing is planted.
pub(super) fn places(planted: bool) -> impl Strategy<Value = Vec<usize>> {
    let most = if planted { 3 } else { 0 };
    prop::collection::vec(below(COMMENT + 1, COMMENT), usize::from(planted)..=most)
}

/// The settings of a place, one of which holds the secret.
pub(super) fn edits(place: usize, secret: &str) -> Vec<Edit> {
    let text = |text: &str| Value::String(text.to_owned());
    let list = |item: String| Value::Array(vec![Value::String(item)]);
    let url = || format!("https://robot:{secret}@mirror.example");
    let registry =
        |path: &[&str], value| edit(&[&["plugins", plugin::CRI, "registry"], path], value);
    let handler = ["plugins", plugin::CRI, "containerd", "runtimes", "planted"];
    match place {
        0 => vec![registry(
            &["configs", "planted.example", "auth", "password"],
            text(secret),
        )],
        1 => vec![registry(
            &["configs", "planted.example", "auth", "auth"],
            text(secret),
        )],
        2 => vec![registry(
            &["configs", "planted.example", "auth", "identitytoken"],
            text(secret),
        )],
        3 => vec![registry(
            &["mirrors", "planted.example", "endpoint"],
            list(url()),
        )],
        4 => vec![registry(
            &["headers", "Authorization"],
            list(format!("Bearer {secret}")),
        )],
        5 => vec![
            edit(
                &[&handler, &["runtime_type"]],
                text("io.containerd.runc.v2"),
            ),
            edit(&[&handler, &["options", "Token"]], text(secret)),
        ],
        6 => vec![
            edit(
                &[&["stream_processors", "planted", "path"]],
                text("/usr/bin/decrypt"),
            ),
            edit(
                &[&["stream_processors", "planted", "args"]],
                list(format!("--key={secret}")),
            ),
        ],
        7 => vec![edit(
            &[&["stream_processors", "planted", "env"]],
            list(format!("KEY={secret}")),
        )],
        8 => vec![edit(
            &[&["plugins", plugin::CRI, "password_of_proxy"]],
            text(secret),
        )],
        // The mirror's own name.
        9 => vec![registry(
            &["mirrors", &url(), "endpoint"],
            list("https://mirror.example".to_owned()),
        )],
        _ => Vec::new(),
    }
}

fn edit(path: &[&[&str]], value: Value) -> Edit {
    let path = path.concat().into_iter().map(str::to_owned).collect();
    Edit { path, value }
}
