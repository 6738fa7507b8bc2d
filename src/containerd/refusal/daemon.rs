//! Settings of the daemon itself.

use super::syntax::is_bad_address;
use super::{Check, Refuses, Rule};
use crate::containerd::duration;
use crate::containerd::releases::V2_3;
use crate::value::Value;

/// Addresses that the daemon listens on by TCP.
const TCP: [[&str; 2]; 2] = [["grpc", "tcp_address"], ["metrics", "address"]];

impl Check<'_> {
    pub(super) fn daemon(&mut self) {
        // From 2.3 on every server is a plugin.
        let refuses = match self.is_from(V2_3) {
            true => Refuses::Plugin,
            false => Refuses::Daemon,
        };
        for path in TCP {
            let address = self.text(&path);
            if !address.is_empty() && is_bad_address(&address) {
                let message = "nothing can listen on the address, which wants a host and a port";
                self.refuse(Rule::ServerAddress, refuses, &path, message);
            }
        }
        let (cert, key) = (["grpc", "tcp_tls_cert"], ["grpc", "tcp_tls_key"]);
        if !self.text(&cert).is_empty() && self.text(&key).is_empty() {
            let message = "the certificate of the TCP server has no key";
            self.refuse(Rule::ServerKeyPair, refuses, &cert, message);
        }
        let format = ["debug", "format"];
        if !matches!(self.text(&format).as_str(), "" | "text" | "json") {
            let message = "the log format is neither \"text\" nor \"json\"";
            self.refuse(Rule::LogFormat, Refuses::Daemon, &format, message);
        }
        for name in self.effective.entries(&["timeouts"]) {
            let path = ["timeouts", name.as_str()];
            if let Some(Value::String(text)) = self.value(&path)
                && duration::parse(&text).is_none()
            {
                let message = format!("{text:?} is not a duration such as \"10s\"");
                self.refuse(Rule::Timeout, Refuses::Daemon, &path, message);
            }
        }
    }
}
