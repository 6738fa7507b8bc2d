//! Image registries.

use super::{Check, Refuses, Rule};
use crate::config::known;
use crate::containerd::releases::V1_4;
use crate::containerd::url::Url;
use crate::shown;

impl Check<'_> {
    pub(super) fn registry(&mut self) {
        let has_config_path = !self.text(&known::CONFIG_PATH).is_empty();
        let mirrors = known::MIRRORS;
        if has_config_path && !self.effective.entries(&mirrors).is_empty() {
            let message = "there are mirrors beside `config_path`";
            self.refuse(Rule::MirrorsAndConfigPath, Refuses::Cri, &mirrors, message);
        }
        for host in self.effective.entries(&known::CONFIGS) {
            self.tls(&host, has_config_path);
        }
        if !self.is_from(V1_4) {
            return;
        }
        for url in self.effective.entries(&known::AUTHS) {
            if Url::parse(&url).is_none() {
                let path = known::AUTHS_ENTRY.of(&[&url]);
                let message = format!("{:?} is not a URL", shown::name(&url));
                self.refuse(Rule::AuthsUrl, Refuses::Cri, &path, message);
            }
        }
    }

    fn tls(&mut self, host: &str, has_config_path: bool) {
        let parts = [known::HOSTS_TLS, known::HOSTS_CERT, known::HOSTS_KEY];
        let [tls, cert, key] = parts.map(|setting| setting.of(&[host]));
        if !self.is_known(&cert) || !self.is_set(&tls) {
            return;
        }
        let shown = shown::name(host);
        if has_config_path {
            let message = format!("{shown:?} has TLS settings beside `config_path`");
            self.refuse(Rule::TlsAndConfigPath, Refuses::Cri, &tls, message);
        }
        let (has_cert, has_key) = (!self.text(&cert).is_empty(), !self.text(&key).is_empty());
        if has_cert != has_key {
            let path = if has_cert { &cert } else { &key };
            let message =
                format!("of the client certificate for {shown:?} and its key only one is set");
            self.refuse(Rule::RegistryKeyPair, Refuses::Pull, path, message);
        }
    }
}
