//! The typed model of a containerd config file, and with it the declarations
//! of all settings.
//!
//! One shape serves every config version: `config.plugins.cri.registry.mirrors`
//! is the same field whether the file says `plugins.cri.registry` (version 1),
//! `plugins."io.containerd.grpc.v1.cri".registry` (version 2) or
//! `plugins."io.containerd.cri.v1.images".registry` (versions 3 and 4). Set
//! [`Config::version`] to have a config written in another version.
//!
//! A field is `None` where the file does not set it; defaults are not filled
//! in. What the model does not know, or what has another type than declared,
//! is in `other` of its table and is written back as it was; what the file's
//! version ignores, ids in `disabled_plugins` and `required_plugins` included, is
//! written back in that version only. A file without a version whose plugins have
//! the names of version 2 or 3 is read as one of that version, and is written
//! without a version again. A field that a version
//! has no place for is written where containerd ignores it. What has another
//! form in another version (the last column of the table below says so) is not
//! converted here but by [`migrate`](crate::migrate).
//!
//! ```
//! use containerd_dropins::{Config, Document};
//! use containerd_dropins::config::Mirror;
//!
//! let text = r#"
//! version = 2
//! [plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]
//!   endpoint = ["https://mirror.example"]
//! "#;
//! let mut config = Config::read(&Document::parse("containerd.toml", text.as_bytes())?);
//!
//! let mirrors = &mut config.plugins.cri.registry.mirrors;
//! assert_eq!(mirrors["docker.io"].endpoint.as_deref(), Some(&["https://mirror.example".to_owned()][..]));
//!
//! let mut quay = Mirror::default();
//! quay.endpoint = Some(vec!["https://mirror.example/quay".to_owned()]);
//! mirrors.insert("quay.io".to_owned(), quay);
//! assert!(config.to_toml().contains("\"quay.io\""));
//! # Ok::<(), containerd_dropins::ParseError>(())
//! ```
//!
//! # Settings that move
//!
//! Every setting whose address or form is not the same in all config versions.
//! `*` stands for a name. In version 1 all plugins have short names.
//!
#![doc = include_str!("addresses.md")]

pub(crate) mod address;
mod cri;
mod daemon;
pub(crate) mod declare;
pub(crate) mod known;
pub(crate) mod nearest;
mod plugins;
mod runtime;
pub(crate) mod table;

pub use cri::{
    Auth, Cni, Containerd, Cri, ImageDecryption, Mirror, Registry, RegistryHost, RuntimePlatform,
    Tls, X509KeyPair,
};
pub use daemon::{Cgroup, Config, Debug, Grpc, Metrics, ProxyPlugin, StreamProcessor, Ttrpc};
pub use declare::{Duration, Map, Secret};
pub use plugins::{
    Blockfile, Bolt, CgroupsMonitor, Devmapper, DiffService, Erofs, ErofsDiffer, GcScheduler,
    ImageVerifier, LinuxRuntime, Nri, NriValidator, Opt, Otlp, Overlayfs, Plugins, Restart,
    ShimManager, Snapshotter, TaskManager, TasksService, Tracing, Transfer, UnpackConfig,
};
pub use runtime::{Runtime, RuntimeOptions};

use crate::Document;
use crate::containerd::place::Place;
use crate::containerd::setting::Section;
use crate::value::Table;
use crate::write;
use declare::Declared;
use table::Row;

impl Config {
    /// The declarations of all settings, as a tree.
    pub const SETTINGS: &'static Section = <Config as Declared>::SECTION;

    /// Reads a file of any config version.
    ///
    /// Values of a wrong type and unknown keys are kept in `other`;
    /// [`check`](crate::migrate::check) lists them with their places.
    pub fn read(document: &Document) -> Config {
        Config::from_table(document.to_table())
    }

    /// The plain values, in the spelling of `self.version`.
    pub fn to_table(&self) -> Table {
        Declared::to_table(self)
    }

    /// The text of the file, in the spelling of `self.version`.
    pub fn to_toml(&self) -> String {
        write::document(&self.to_table())
    }

    /// Where a setting stands in files of a config version; `None` where the
    /// version has no place for it. The setting is named by its path in
    /// version 2, or, if that has none, as [`Config::SETTINGS`] has it.
    ///
    /// ```
    /// use containerd_dropins::Config;
    ///
    /// let image = ["plugins", "io.containerd.grpc.v1.cri", "sandbox_image"];
    /// let in_3 = ["plugins", "io.containerd.cri.v1.images", "pinned_images", "sandbox"];
    /// assert_eq!(Config::address(1, &image).unwrap(), ["plugins", "cri", "sandbox_image"]);
    /// assert_eq!(Config::address(3, &image).unwrap(), in_3);
    ///
    /// let pull = ["plugins", "io.containerd.grpc.v1.cri", "use_local_image_pull"];
    /// assert_eq!(Config::address(2, &pull), None);
    /// ```
    pub fn address(version: i64, path: &[&str]) -> Option<Vec<String>> {
        let address = || address::of(version, path);
        let exists = address::exists_in(version, path);
        exists.then(|| address().into_iter().map(str::to_owned).collect())
    }

    /// What is known of the setting at a path of version 2.
    pub(crate) fn place_of(path: &[&str]) -> Option<Place> {
        let top = Config::place();
        path.iter().try_fold(top, |place, key| place.child(key))
    }

    /// Where walks along the declarations begin.
    pub(crate) fn place() -> Place {
        Place::of(Row::TOP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Config {
        Config::read(&Document::parse("t.toml", text.as_bytes()).unwrap())
    }

    #[test]
    fn both_versions_read_into_the_same_field() {
        let one = read("[plugins.cri]\nsandbox_image = \"a\"\n");
        let two =
            read("version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"a\"\n");
        assert_eq!(one.plugins.cri.sandbox_image.as_deref(), Some("a"));
        assert_eq!(one.plugins.cri, two.plugins.cri);
        assert_eq!(one.to_toml(), "[plugins.cri]\nsandbox_image = \"a\"\n");
    }

    #[test]
    fn a_version_1_section_under_a_uri_is_nobodys() {
        let text = "version = 1\n\n[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"a\"\n\n[plugins.opt]\npath = \"b\"\n";
        let config = read(text);
        assert_eq!(config.plugins.cri, Cri::default());
        assert_eq!(config.plugins.opt.path.as_deref(), Some("b"));
        assert_eq!(config.to_toml(), text);
    }

    #[test]
    fn a_file_without_a_version_gains_none() {
        let text = "[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"a\"\n";
        let mut config = read(text);
        assert_eq!(config.plugins.cri.sandbox_image.as_deref(), Some("a"));
        assert_eq!(config.version, None);
        assert_eq!(config.to_toml(), text);
        config.version = Some(1);
        let one = "version = 1\n\n[plugins.cri]\nsandbox_image = \"a\"\n";
        assert_eq!(config.to_toml(), one);
        let list = "disabled_plugins = [\"io.containerd.snapshotter.v1.zfs\"]\n";
        assert_eq!(read(list).disabled_plugins.map(|list| list.len()), Some(1));
        assert_eq!(read(list).to_toml(), list);
        let zero =
            "version = 0\n\n[plugins.\"io.containerd.gc.v1.scheduler\"]\npause_threshold = 0.5\n";
        assert_eq!(read(zero).to_toml(), zero);
    }

    /// containerd 1.x matches short names in version 1, and 2.x the new ids in
    /// version 3 only.
    #[test]
    fn ids_of_another_version_stay_what_they_are() {
        for (version, id) in [
            (1, "io.containerd.snapshotter.v1.zfs"),
            (3, "io.containerd.internal.v1.restart"),
            (4, "io.containerd.monitor.v1.cgroups"),
        ] {
            let text =
                format!("disabled_plugins = [\"x\", \"{id}\", \"y\"]\nversion = {version}\n");
            let mut config = read(&text);
            assert_eq!(
                config.disabled_plugins.as_deref(),
                Some(&["x".to_owned(), "y".to_owned()][..])
            );
            assert_eq!(config.to_toml(), text);
            config.version = Some(2);
            let other = "disabled_plugins = [\"x\", \"y\"]\nversion = 2\n";
            assert_eq!(config.to_toml(), other);
        }
    }

    /// config version 3 has the stream server's settings, and nothing else, in the
    /// plugin of that name.
    #[test]
    fn an_empty_table_of_the_stream_server_is_written_as_it_was() {
        for key in ["disable_tcp_service", "x509_key_pair_streaming"] {
            let text = format!("version = 3\n\n[plugins.\"io.containerd.grpc.v1.cri\".{key}]\n");
            assert_eq!(read(&text).to_toml(), text);
        }
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_kept() {
        let text = "oom_score = \"high\"\nversion = 2\nx = 1\n\n[grpc]\ny = [{ z = 1 }]\n\n[plugins.foo]\na = 1\n\n[proxy_plugins]\n\n[timeouts]\nb = 3\n";
        let config = read(text);
        assert_eq!(config.oom_score, None);
        assert_eq!(config.to_toml(), text);
    }

    #[test]
    fn durations_show_in_debug_and_other_texts_by_their_length() {
        let shown = |text: &str| format!("{:?}", Duration(text.to_owned()));
        assert_eq!(shown("1m30s"), "Duration(\"1m30s\")");
        assert_eq!(
            shown("hunter2"),
            "Duration(\"<hidden> (string, 7 characters)\")"
        );
    }

    #[test]
    fn secrets_do_not_show_in_debug() {
        let config = read(
            "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry.configs.h.auth]\npassword = \"hunter2\"\n",
        );
        let auth = &config.plugins.cri.registry.configs["h"].auth;
        assert_eq!(auth.password.as_ref().map(Secret::expose), Some("hunter2"));
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
