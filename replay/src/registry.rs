//! Registries on loopback addresses, which write down what they are asked.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde::{Deserialize, Serialize};

use crate::image::{Blob, Image};

/// A registry as a case declares it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Declared {
    /// `host` or `host:port`, as in a URL.
    pub(crate) host: String,
    /// Serves plain HTTP.
    #[serde(default)]
    pub(crate) plain: bool,
    /// Its certificate is signed by an authority that the machine knows; else by
    /// the one of `/etc/replay/ca.pem`.
    #[serde(default)]
    pub(crate) known: bool,
    /// Whoever asks without this `user:password` is sent away.
    pub(crate) credentials: Option<String>,
    /// Whoever comes without the client certificate of the node is sent away.
    #[serde(default)]
    pub(crate) client_certificate: bool,
    /// `repository:tag` of the images that it has.
    #[serde(default)]
    pub(crate) images: Vec<String>,
}

impl Declared {
    fn port(&self) -> u16 {
        let said = self.host.rsplit_once(':').map(|(_, port)| port.parse());
        said.and_then(Result::ok)
            .unwrap_or(if self.plain { 80 } else { 443 })
    }

    pub(crate) fn name(&self) -> &str {
        let (name, _) = self.host.rsplit_once(':').unwrap_or((&self.host, ""));
        name
    }
}

/// A request, as far as it tells where an image came from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    /// Without the query.
    pub(crate) url: String,
    /// The credentials that came with it.
    pub(crate) by: Option<String>,
    pub(crate) status: u16,
}

/// What all registries of a node are asked, in order.
pub(crate) type Log = Arc<Mutex<Vec<Asked>>>;

/// A certificate authority, a server certificate for the names of the node's
/// registries, and a client certificate.
pub(crate) struct Certificates {
    pub(crate) authority: String,
    pub(crate) client: String,
    pub(crate) client_key: String,
    authority_der: CertificateDer<'static>,
    server: CertificateDer<'static>,
    server_key: Vec<u8>,
}

impl Certificates {
    pub(crate) fn new(names: Vec<String>) -> Result<Certificates, rcgen::Error> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate()?;
        let certificate = authority.self_signed(&authority_key)?;
        let issuer = Issuer::new(authority, authority_key);
        let sign = |names: Vec<String>| {
            let key = KeyPair::generate()?;
            let signed = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
            Ok::<_, rcgen::Error>((signed, key))
        };
        let (server, server_key) = sign(names)?;
        let (client, client_key) = sign(vec!["node.test".to_owned()])?;
        Ok(Certificates {
            authority: certificate.pem(),
            authority_der: certificate.der().clone(),
            client: client.pem(),
            client_key: client_key.serialize_pem(),
            server: server.der().clone(),
            server_key: server_key.serialize_der(),
        })
    }

    fn server(&self, wants_client: bool) -> Result<ServerConfig, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.authority_der.clone())?;
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?;
        let builder = match wants_client {
            true => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                let verifier = verifier.map_err(|e| rustls::Error::General(e.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
            false => builder.with_no_client_auth(),
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.server_key.clone()));
        builder.with_single_cert(vec![self.server.clone()], key)
    }
}

/// What a registry serves, by path.
struct Served {
    declared: Declared,
    tags: BTreeMap<String, Blob>,
    blobs: BTreeMap<String, Blob>,
    log: Log,
}

/// Starts a registry that serves until the process ends.
pub(crate) fn serve(
    declared: &Declared,
    address: &str,
    busybox: &[u8],
    certificates: &Certificates,
    log: &Log,
) -> io::Result<()> {
    let mut served = Served {
        declared: declared.clone(),
        tags: BTreeMap::new(),
        blobs: BTreeMap::new(),
        log: log.clone(),
    };
    for name in &declared.images {
        let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
        let image = Image::new(busybox, &format!("{}/{name}", declared.host))?;
        let manifest = format!("/v2/{repository}/manifests/");
        let tagged = format!("{manifest}{tag}");
        served.tags.insert(tagged, image.manifest.clone());
        let by_digest = format!("{manifest}{}", image.manifest.digest);
        served.blobs.insert(by_digest, image.manifest.clone());
        for blob in image.blobs {
            let path = format!("/v2/{repository}/blobs/{}", blob.digest);
            served.blobs.insert(path, blob);
        }
    }
    let listener = TcpListener::bind((address, declared.port()))?;
    let tls = match declared.plain {
        true => None,
        false => {
            let config = certificates.server(declared.client_certificate);
            Some(Arc::new(config.map_err(io::Error::other)?))
        }
    };
    let served = Arc::new(served);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (served, tls) = (served.clone(), tls.clone());
            std::thread::spawn(move || {
                // A client that goes away, or does not like the certificate, is
                // what some cases are about.
                let _ = match tls {
                    None => served.talk(stream),
                    Some(config) => ServerConnection::new(config)
                        .map_err(io::Error::other)
                        .and_then(|connection| served.talk(StreamOwned::new(connection, stream))),
                };
            });
        }
    });
    Ok(())
}

impl Served {
    fn talk(&self, stream: impl Read + Write) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let mut words = line.split_whitespace();
            let (Some(method), Some(target)) = (words.next(), words.next()) else {
                return Ok(());
            };
            let (is_head, path) = (method == "HEAD", target.split('?').next().unwrap_or(target));
            let mut authorization = None;
            loop {
                let mut header = String::new();
                stream.read_line(&mut header)?;
                match header.trim().split_once(':') {
                    None => break,
                    Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                        authorization = Some(value.trim().to_owned());
                    }
                    Some(_) => {}
                }
            }
            let (status, blob) = self.answer(path, authorization.as_deref());
            let scheme = if self.declared.plain { "http" } else { "https" };
            self.log
                .lock()
                .map_err(|_| io::Error::other("a registry failed"))?
                .push(Asked {
                    url: format!("{scheme}://{}{path}", self.declared.host),
                    by: authorization.as_deref().map(plainly),
                    status,
                });
            let stream = stream.get_mut();
            let empty: &[u8] = &[];
            let (bytes, headers) = match blob {
                Some(blob) => (
                    blob.bytes.as_slice(),
                    format!(
                        "Content-Type: {}\r\nDocker-Content-Digest: {}\r\n",
                        blob.media_type, blob.digest
                    ),
                ),
                None if status == 401 => (
                    empty,
                    "WWW-Authenticate: Basic realm=\"test\"\r\n".to_owned(),
                ),
                None => (empty, String::new()),
            };
            write!(
                stream,
                "HTTP/1.1 {status} .\r\nContent-Length: {}\r\n{headers}\r\n",
                bytes.len()
            )?;
            if !is_head {
                stream.write_all(bytes)?;
            }
            stream.flush()?;
        }
    }

    fn answer(&self, path: &str, authorization: Option<&str>) -> (u16, Option<&Blob>) {
        let is_welcome = self.declared.credentials.as_ref().is_none_or(|wanted| {
            authorization == Some(format!("Basic {}", STANDARD.encode(wanted)).as_str())
        });
        match self.tags.get(path).or_else(|| self.blobs.get(path)) {
            _ if !is_welcome => (401, None),
            None => (404, None),
            found => (200, found),
        }
    }
}

/// What stands in an Authorization header.
fn plainly(header: &str) -> String {
    let basic = header.strip_prefix("Basic ");
    let decoded = basic.and_then(|basic| STANDARD.decode(basic).ok());
    let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    text.unwrap_or_else(|| header.to_owned())
}
