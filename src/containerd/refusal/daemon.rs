//! Settings of the daemon itself.

use super::syntax::is_bad_address;
use super::{Check, Refuses, Rule, in_cri};
use crate::containerd::duration;
use crate::containerd::releases::{V1_7_17, V2_3};
use crate::shown;
use crate::value::Value;

/// The TCP server's address, that of the metrics and that of the debug server.
const TCP: [&str; 2] = ["grpc", "tcp_address"];
const METRICS: [&str; 2] = ["metrics", "address"];
const DEBUG: [&str; 2] = ["debug", "address"];

impl Check<'_> {
    pub(super) fn daemon(&mut self) {
        self.config_version();
        self.addresses();
        self.tcp_key_pair();
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
                let message = format!(
                    "{} is not a duration such as \"10s\"",
                    shown::duration(&text)
                );
                self.refuse(Rule::Timeout, Refuses::Daemon, &path, message);
            }
        }
    }

    /// containerd 1.7.17 and later look at the version of the last file that states
    /// one, some at each beside the main file's.
    fn config_version(&mut self) {
        let versions = self.effective.versions();
        let known = self.release.config_version();
        let is_bound = super::is_bound_by_main(self.release);
        let message = if versions.last > known && self.is_from(V1_7_17) {
            format!(
                "the config version is {}, and {known} is the latest that it reads",
                versions.last
            )
        } else if versions.highest > versions.first && is_bound {
            format!(
                "an imported file is of config version {}, which is later than the main file's, {}",
                versions.highest, versions.first
            )
        } else {
            return;
        };
        self.refuse(Rule::ConfigVersion, Refuses::Daemon, &["version"], message);
    }

    fn addresses(&mut self) {
        // 2.3 makes no TCP server where it has nothing to serve.
        let serves = !self.is_from(V2_3) || !self.is_true(&in_cri(&["disable_tcp_service"]));
        for (path, is_used) in [(TCP, serves), (METRICS, true), (DEBUG, true)] {
            let address = self.text(&path);
            let is_socket = path == DEBUG && address.starts_with('/');
            if address.is_empty() || is_socket || !is_used || !is_bad_address(&address) {
                continue;
            }
            let message = match path == DEBUG {
                true => {
                    "nothing can listen on the address, which wants an absolute path, or a host and a port"
                }
                false => "nothing can listen on the address, which wants a host and a port",
            };
            self.refuse(Rule::ServerAddress, Refuses::Daemon, &path, message);
        }
    }

    /// From 2.3 on the server is a plugin, which is there for its address only.
    fn tcp_key_pair(&mut self) {
        let (cert, key) = (["grpc", "tcp_tls_cert"], ["grpc", "tcp_tls_key"]);
        let refuses = match (self.is_from(V2_3), self.text(&TCP).is_empty()) {
            (true, true) => return,
            (true, false) => Refuses::Plugin,
            (false, _) => Refuses::Daemon,
        };
        if !self.text(&cert).is_empty() && self.text(&key).is_empty() {
            let message = "the certificate of the TCP server has no key";
            self.refuse(Rule::ServerKeyPair, refuses, &cert, message);
        }
    }
}
