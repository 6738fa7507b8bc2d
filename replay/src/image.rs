//! Images made on the spot: one layer with busybox and a file that tells the
//! image apart, so that no two share a blob.

use std::io;

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

/// A blob of a registry or archive.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    pub(crate) digest: String,
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Vec<u8>,
}

impl Blob {
    fn new(media_type: &'static str, bytes: Vec<u8>) -> Blob {
        let hash = digest(&SHA256, &bytes);
        let hex: String = hash.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        Blob {
            digest: format!("sha256:{hex}"),
            media_type,
            bytes,
        }
    }

    fn json(media_type: &'static str, value: &Value) -> Blob {
        Blob::new(media_type, value.to_string().into_bytes())
    }

    fn descriptor(&self) -> Value {
        json!({
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.bytes.len(),
        })
    }
}

/// An image: its manifest, and what that names.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) manifest: Blob,
    pub(crate) blobs: Vec<Blob>,
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

impl Image {
    /// An image that sleeps, of a static busybox; `origin` is written into it.
    pub(crate) fn new(busybox: &[u8], origin: &str) -> io::Result<Image> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut add = |path: &str, mode: u32, bytes: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(mode);
            tar.append_data(&mut header, path, bytes)
        };
        add("origin", 0o644, origin.as_bytes())?;
        add("busybox", 0o755, busybox)?;
        let layer = Blob::new("application/vnd.oci.image.layer.v1.tar", tar.into_inner()?);
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let config = Blob::json(
            "application/vnd.oci.image.config.v1+json",
            &json!({
                "architecture": architecture,
                "os": "linux",
                "config": {"Cmd": ["/busybox", "sleep", "3600"]},
                "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
            }),
        );
        let manifest = Blob::json(
            MANIFEST,
            &json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": config.descriptor(),
                "layers": [layer.descriptor()],
            }),
        );
        Ok(Image {
            manifest,
            blobs: vec![config, layer],
        })
    }

    /// The image under several names, as an OCI archive.
    pub(crate) fn archive(&self, names: &[String]) -> io::Result<Vec<u8>> {
        let entry = |name: &String| {
            let mut descriptor = self.manifest.descriptor();
            if let Some(fields) = descriptor.as_object_mut() {
                let annotations = json!({"io.containerd.image.name": name});
                fields.insert("annotations".to_owned(), annotations);
            }
            descriptor
        };
        let index = json!({
            "schemaVersion": 2,
            "manifests": names.iter().map(entry).collect::<Vec<_>>(),
        });
        let mut tar = tar::Builder::new(Vec::new());
        let mut add = |path: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, path, bytes)
        };
        add("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        add("index.json", index.to_string().as_bytes())?;
        for blob in self.blobs.iter().chain([&self.manifest]) {
            let path = format!("blobs/{}", blob.digest.replace(':', "/"));
            add(&path, &blob.bytes)?;
        }
        tar.into_inner()
    }
}
