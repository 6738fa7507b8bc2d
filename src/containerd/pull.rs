//! Who pulls images for CRI, and where that keeps pulls from working.
//!
//! Up to containerd 2.0, CRI pulls images by itself. From 2.1 on it leaves that
//! to the transfer service, unless `use_local_image_pull` says otherwise or a
//! setting stands in the way that the service does not have
//! (`CheckLocalImagePullConfigs` in containerd's `internal/cri/config`). The
//! two do not do the same with the same settings:
//!
//! | setting | CRI itself | transfer service |
//! |---|---|---|
//! | a snapshotter that `unpack_config` does not name | pulls | every pull fails |
//! | a `config_path` of several directories | each is read, in order | the whole is taken for one, and no `hosts.toml` is found |
//! | no `config_path` and no mirrors, from 2.2 on | reads [`BUILT_IN_CONFIG_PATH`] | takes that for one directory |
//!
//! Seen at work on 1.7.24, 2.1.9, 2.2.7, 2.3.3 and 2.3.4.

use super::load::Effective;
use super::releases::{V2_1, V2_2, V2_3};
use crate::config::known;
use crate::config::table::Known;
use crate::shown;
use crate::value::{Table, Value};

/// Where containerd 2.2 and later look for `hosts.toml` files if nothing sets
/// `config_path` or a mirror.
pub const BUILT_IN_CONFIG_PATH: &str = "/etc/containerd/certs.d:/etc/docker/certs.d";

/// Who pulls images for CRI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImagePull {
    /// CRI itself: containerd up to 2.0, and later ones where a setting asks
    /// for it (local image pull).
    Local,
    /// The transfer service, `io.containerd.transfer.v1.local` (2.1 and later).
    TransferService,
}

/// A setting with which the transfer service does not do what CRI's own pull
/// does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    pub(crate) kind: ObstacleKind,
    /// The setting, by its path in config version 2.
    pub(crate) path: Vec<String>,
}

/// What the transfer service cannot do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ObstacleKind {
    /// It unpacks nothing with CRI's snapshotter of this name.
    Snapshotter(String),
    /// It unpacks nothing with the snapshotter of a runtime handler.
    HandlerSnapshotter {
        handler: String,
        snapshotter: String,
    },
    /// It takes a list of directories for one.
    ConfigPath,
}

/// Maps of registries: one entry in any of them is enough for local pull.
const REGISTRIES: [Known; 3] = [known::MIRRORS, known::CONFIGS, known::AUTHS];

/// Settings of CRI that the transfer service does not have: with any other value
/// CRI pulls by itself.
const LOCAL_ONLY: [(Known, Value); 4] = [
    (known::DISABLE_SNAPSHOT_ANNOTATIONS, Value::Boolean(true)),
    (known::DISCARD_UNPACKED_LAYERS, Value::Boolean(false)),
    (known::MAX_CONCURRENT_DOWNLOADS, Value::Integer(3)),
    (known::IMAGE_PULL_WITH_SYNC_FS, Value::Boolean(false)),
];

impl Effective {
    /// Who pulls images for CRI.
    ///
    /// ```
    /// use containerd_dropins::Document;
    /// use containerd_dropins::containerd::load::Effective;
    /// use containerd_dropins::containerd::pull::ImagePull;
    ///
    /// let pull = |text: &str, release: &str| {
    ///     let document = Document::parse("containerd.toml", text.as_bytes()).unwrap();
    ///     Effective::load(release.parse().unwrap(), [document.to_table()]).image_pull()
    /// };
    /// assert_eq!(pull("version = 2", "1.7.24"), ImagePull::Local);
    /// assert_eq!(pull("version = 3", "2.1.9"), ImagePull::TransferService);
    /// let slow = "version = 3\n[plugins.'io.containerd.cri.v1.images']\nmax_concurrent_downloads = 1";
    /// assert_eq!(pull(slow, "2.1.9"), ImagePull::Local);
    /// ```
    pub fn image_pull(&self) -> ImagePull {
        match self.release() < V2_1 || self.local_pull_setting().is_some() {
            true => ImagePull::Local,
            false => ImagePull::TransferService,
        }
    }

    /// The setting, by its path in config version 2, because of which containerd
    /// 2.1 and later leave pulls to CRI.
    pub(crate) fn local_pull_setting(&self) -> Option<Vec<String>> {
        let registries = REGISTRIES.iter().find_map(|map| {
            let is_used = !self.entries(map).is_empty();
            is_used.then_some(*map)
        });
        let other = |(setting, common): &(Known, Value)| {
            let knows = setting.place().known_in(self.release());
            let zero = match common {
                Value::Integer(_) => Value::Integer(0),
                _ => Value::Boolean(false),
            };
            let is_other = knows && self.value(setting).unwrap_or(zero) != *common;
            is_other.then_some(*setting)
        };
        let asked = self.value(&known::USE_LOCAL_IMAGE_PULL) == Some(Value::Boolean(true));
        let setting = match asked {
            true => Some(known::USE_LOCAL_IMAGE_PULL),
            false => registries.or_else(|| LOCAL_ONLY.iter().find_map(other)),
        };
        setting.map(|setting| setting.iter().map(|key| (*key).to_owned()).collect())
    }

    /// The directories in which pulls look for `hosts.toml` files, in order.
    ///
    /// containerd 2.2 and later have [`BUILT_IN_CONFIG_PATH`] where neither
    /// `config_path` nor a mirror is set. The transfer service takes several
    /// directories for one with colons in its name.
    pub fn hosts_directories(&self) -> Vec<String> {
        let stated = self.text_at(&known::CONFIG_PATH);
        let built_in = self.release() >= V2_2 && self.entries(&known::MIRRORS).is_empty();
        let path = match stated.as_str() {
            "" if built_in => BUILT_IN_CONFIG_PATH,
            path => path,
        };
        let directories: Vec<&str> = match self.image_pull() {
            ImagePull::Local => path.split(':').collect(),
            ImagePull::TransferService => vec![path],
        };
        let directories = directories.into_iter().filter(|path| !path.is_empty());
        directories.map(str::to_owned).collect()
    }

    /// What keeps the transfer service from pulling as CRI itself would; nothing
    /// where CRI does pull itself.
    pub(crate) fn pull_obstacles(&self) -> Vec<Obstacle> {
        if self.image_pull() == ImagePull::Local {
            return Vec::new();
        }
        let unpacks = self.unpacking_snapshotters();
        let fails = |name: &str| !name.is_empty() && !unpacks.iter().any(|known| known == name);
        let mut found = Vec::new();
        let own = self.text_at(&known::SNAPSHOTTER);
        if fails(&own) {
            // The default fails where the list is another.
            let path = match self.set_value(&known::SNAPSHOTTER) {
                Some(_) => known::SNAPSHOTTER,
                None => known::UNPACK_CONFIG,
            };
            found.push(Obstacle::at(&path, ObstacleKind::Snapshotter(own.clone())));
        }
        for handler in self.entries(&known::RUNTIME_PLATFORMS) {
            let path = known::HANDLERS_UNPACKED_WITH.of(&[&handler]);
            let snapshotter = self.text_at(&path);
            if snapshotter != own && fails(&snapshotter) {
                let kind = ObstacleKind::HandlerSnapshotter {
                    handler: handler.clone(),
                    snapshotter,
                };
                found.push(Obstacle::at(&path, kind));
            }
        }
        let set = self.set_value(&known::CONFIG_PATH).and_then(Value::as_str);
        if set.is_some_and(|path| path.contains(':')) {
            found.push(Obstacle::at(&known::CONFIG_PATH, ObstacleKind::ConfigPath));
        }
        found
    }

    /// The snapshotters that the transfer service unpacks with: those that
    /// `unpack_config` names, an empty list included, else overlayfs, and from
    /// 2.3 on erofs. From 2.3 on, what is for another operating system is not for
    /// the node's images; with `check_platform_supported` nor is what is for another
    /// architecture, and which the node has no file tells.
    fn unpacking_snapshotters(&self) -> Vec<String> {
        let entries = self
            .set_value(&known::UNPACK_CONFIG)
            .and_then(Value::as_array);
        let Some(entries) = entries else {
            let erofs = (self.release() >= V2_3).then_some("erofs");
            let built_in = std::iter::once("overlayfs").chain(erofs);
            return built_in.map(str::to_owned).collect();
        };
        let entries = entries.iter().filter_map(Value::as_table);
        let text = |entry: &Table, key| entry.get(key).and_then(Value::as_str).map(str::to_owned);
        let is_strict = self.value(&known::CHECK_PLATFORM_SUPPORTED) == Some(Value::Boolean(true));
        let is_for_node = |entry: &&Table| {
            let platform = text(entry, "platform").unwrap_or_default();
            !is_strict && (self.release() < V2_3 || is_for_linux(&platform))
        };
        let names = entries.filter(is_for_node);
        names
            .filter_map(|entry| text(entry, "snapshotter"))
            .collect()
    }

    fn text_at(&self, path: &[&str]) -> String {
        match self.value(path) {
            Some(Value::String(text)) => text,
            _ => String::new(),
        }
    }
}

/// Whether a platform as `github.com/containerd/platforms` reads it is one of
/// Linux: `linux/arm64`, `linux(+erofs)/amd64`, or an architecture alone.
fn is_for_linux(platform: &str) -> bool {
    const OTHERS: [&str; 4] = ["windows", "darwin", "freebsd", "macos"];
    let (system, _) = platform.split_once('/').unwrap_or((platform, ""));
    let (name, _) = system.split_once('(').unwrap_or((system, ""));
    let name = name.to_ascii_lowercase();
    match platform.contains('/') {
        true => name == "linux",
        false => !OTHERS.contains(&name.as_str()),
    }
}

impl Obstacle {
    fn at(path: &[&str], kind: ObstacleKind) -> Self {
        let path = path.iter().map(|key| (*key).to_owned()).collect();
        Obstacle { kind, path }
    }
}

impl std::fmt::Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.kind {
            ObstacleKind::Snapshotter(name) => write!(
                f,
                "the transfer service unpacks nothing with the snapshotter {:?}",
                shown::name(name)
            ),
            ObstacleKind::HandlerSnapshotter {
                handler,
                snapshotter,
            } => write!(
                f,
                "the transfer service unpacks nothing with the snapshotter {:?} of the handler {:?}",
                shown::name(snapshotter),
                shown::name(handler)
            ),
            ObstacleKind::ConfigPath => f.write_str(
                "the transfer service takes the directories in `config_path` for a single one, in which it finds no hosts.toml",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Document;

    fn effective(release: &str, text: &str) -> Effective {
        let document = Document::parse("t", text.as_bytes()).unwrap();
        Effective::load(release.parse().unwrap(), [document.to_table()])
    }

    fn images(text: &str) -> String {
        format!("version = 3\n[plugins.'io.containerd.cri.v1.images']\n{text}")
    }

    /// Each setting of containerd's `CheckLocalImagePullConfigs`, and the value
    /// that is none.
    #[test]
    fn settings_that_the_transfer_service_does_not_have() {
        let cases = [
            (
                "use_local_image_pull = true",
                "use_local_image_pull = false",
            ),
            (
                "disable_snapshot_annotations = false",
                "disable_snapshot_annotations = true",
            ),
            (
                "discard_unpacked_layers = true",
                "discard_unpacked_layers = false",
            ),
            (
                "max_concurrent_downloads = 4",
                "max_concurrent_downloads = 3",
            ),
            (
                "image_pull_with_sync_fs = true",
                "image_pull_with_sync_fs = false",
            ),
            ("registry.mirrors.x.endpoint = []", "registry.mirrors = {}"),
            (
                "registry.configs.x.auth.username = 'u'",
                "registry.configs = {}",
            ),
            ("registry.auths.x.username = 'u'", "registry.auths = {}"),
            (
                "max_concurrent_downloads = 0",
                "registry.config_path = '/a'",
            ),
        ];
        for release in ["2.1.0", "2.3.3"] {
            for (local, transfer) in cases {
                let pull = |text| effective(release, &images(text)).image_pull();
                assert_eq!(pull(local), ImagePull::Local, "{local}");
                assert_eq!(pull(transfer), ImagePull::TransferService, "{transfer}");
            }
        }
        for release in ["1.7.24", "2.0.5"] {
            assert_eq!(effective(release, "").image_pull(), ImagePull::Local);
        }
    }

    #[test]
    fn what_the_transfer_service_cannot_do() {
        let kinds = |release: &str, text: &str| -> Vec<ObstacleKind> {
            let found = effective(release, &images(text)).pull_obstacles();
            found.into_iter().map(|obstacle| obstacle.kind).collect()
        };
        let native = || ObstacleKind::Snapshotter("native".to_owned());
        assert_eq!(kinds("2.1.9", "snapshotter = 'native'"), [native()]);
        assert_eq!(kinds("2.0.5", "snapshotter = 'native'"), []);
        assert_eq!(
            kinds(
                "2.3.3",
                "snapshotter = 'native'\nuse_local_image_pull = true"
            ),
            []
        );
        assert_eq!(kinds("2.3.3", "snapshotter = 'overlayfs'"), []);
        assert_eq!(kinds("2.3.3", "snapshotter = 'erofs'"), []);
        let erofs = ObstacleKind::Snapshotter("erofs".to_owned());
        assert_eq!(kinds("2.2.7", "snapshotter = 'erofs'"), [erofs]);
        let handler = "[plugins.'io.containerd.cri.v1.images'.runtime_platforms.kata]\nsnapshotter = 'devmapper'";
        let kata = ObstacleKind::HandlerSnapshotter {
            handler: "kata".to_owned(),
            snapshotter: "devmapper".to_owned(),
        };
        assert_eq!(kinds("2.3.3", handler), [kata]);
        let two = "registry.config_path = '/a:/b'";
        assert_eq!(kinds("2.1.9", two), [ObstacleKind::ConfigPath]);
        assert_eq!(kinds("2.1.9", "registry.config_path = '/a'"), []);
        // An empty part, too.
        for two in ["':/a'", "'/a:'"] {
            let text = format!("registry.config_path = {two}");
            assert_eq!(kinds("2.1.9", &text), [ObstacleKind::ConfigPath]);
        }
        let unpack = |name: &str| {
            format!(
                "[[plugins.'io.containerd.transfer.v1.local'.unpack_config]]\nplatform = 'linux/amd64'\nsnapshotter = '{name}'"
            )
        };
        let other = effective("2.3.3", &images(&unpack("native"))).pull_obstacles();
        assert_eq!(
            other[0].kind,
            ObstacleKind::Snapshotter("overlayfs".to_owned())
        );
        assert_eq!(other[0].path, known::UNPACK_CONFIG.path);
        let same = format!("snapshotter = 'native'\n{}", unpack("native"));
        assert_eq!(kinds("2.3.3", &same), []);
        let other_system = images(&unpack("overlayfs").replace("linux", "windows"));
        let fails = |release| {
            !effective(release, &other_system)
                .pull_obstacles()
                .is_empty()
        };
        assert!(fails("2.3.3") && !fails("2.2.7"));
        let strict =
            images("[plugins.'io.containerd.transfer.v1.local']\ncheck_platform_supported = true");
        assert_eq!(effective("2.3.3", &strict).pull_obstacles(), []);
        let strict = format!("{strict}\n{}", unpack("overlayfs"));
        assert_eq!(effective("2.1.9", &strict).pull_obstacles().len(), 1);
        let alone = images(&unpack("overlayfs").replace("linux/amd64", "arm64"));
        assert_eq!(effective("2.3.3", &alone).pull_obstacles(), []);
        let none = "[plugins.'io.containerd.transfer.v1.local']\nunpack_config = []";
        assert_eq!(kinds("2.3.3", none).len(), 1);
    }

    #[test]
    fn where_hosts_files_are_looked_for() {
        let directories =
            |release: &str, text: &str| effective(release, &images(text)).hosts_directories();
        let local = "use_local_image_pull = true\n";
        let built_in = ["/etc/containerd/certs.d", "/etc/docker/certs.d"];
        assert_eq!(directories("2.1.9", local), [""; 0]);
        assert_eq!(directories("2.2.7", local), built_in);
        assert_eq!(
            directories("2.3.3", "max_concurrent_downloads = 1"),
            built_in
        );
        assert_eq!(directories("2.3.3", ""), [BUILT_IN_CONFIG_PATH]);
        assert_eq!(
            directories("2.3.3", "registry.mirrors.x.endpoint = []"),
            [""; 0]
        );
        let two = "registry.config_path = '/a:/b'\n";
        assert_eq!(directories("2.3.3", two), ["/a:/b"]);
        assert_eq!(directories("2.3.3", &format!("{local}{two}")), ["/a", "/b"]);
    }
}
