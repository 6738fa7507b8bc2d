//! Settings of the daemon itself.

use super::syntax::is_bad_address;
use super::{Check, Refuses, Rule};
use crate::config::known;
use crate::containerd::duration;
use crate::containerd::releases::{V1_7_17, V2_3};
use crate::shown;
use crate::value::Value;

impl Check<'_> {
    pub(super) fn daemon(&mut self) {
        self.config_version();
        self.addresses();
        self.tcp_key_pair();
        let format = known::LOG_FORMAT;
        if !matches!(self.text(&format).as_str(), "" | "text" | "json") {
            let message = "the log format is neither \"text\" nor \"json\"";
            self.refuse(Rule::LogFormat, Refuses::Daemon, &format, message);
        }
        for name in self.effective.entries(&known::TIMEOUTS) {
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
        self.refuse(
            Rule::ConfigVersion,
            Refuses::Daemon,
            &known::VERSION,
            message,
        );
    }

    fn addresses(&mut self) {
        // 2.3 makes no TCP server where it has nothing to serve.
        let serves = !self.is_from(V2_3) || !self.is_true(&known::DISABLE_TCP_SERVICE);
        let servers = [
            (known::TCP_ADDRESS, serves),
            (known::METRICS_ADDRESS, true),
            (known::DEBUG_ADDRESS, true),
        ];
        for (path, is_used) in servers {
            let address = self.text(&path);
            let is_debug = path == known::DEBUG_ADDRESS;
            let is_socket = is_debug && address.starts_with('/');
            if address.is_empty() || is_socket || !is_used || !is_bad_address(&address) {
                continue;
            }
            let message = match is_debug {
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
        let (cert, key) = (known::TCP_TLS_CERT, known::TCP_TLS_KEY);
        let refuses = match (
            self.is_from(V2_3),
            self.text(&known::TCP_ADDRESS).is_empty(),
        ) {
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
