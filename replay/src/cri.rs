//! The calls of the Container Runtime Interface that kubelet would make, over
//! containerd's socket. The messages are those fields of
//! `k8s.io/cri-api/pkg/apis/runtime/v1/api.proto` that are used here.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Metadata {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) uid: String,
    #[prost(string, tag = "3")]
    pub(crate) namespace: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Namespaces {
    #[prost(int32, tag = "1")]
    pub(crate) network: i32,
}

/// `NamespaceMode.POD`
pub(crate) const POD: i32 = 0;
/// `NamespaceMode.NODE`
pub(crate) const NODE: i32 = 2;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SandboxSecurity {
    #[prost(message, optional, tag = "1")]
    pub(crate) namespaces: Option<Namespaces>,
    #[prost(bool, tag = "6")]
    pub(crate) privileged: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LinuxSandbox {
    #[prost(string, tag = "1")]
    pub(crate) cgroup_parent: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) security: Option<SandboxSecurity>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SandboxConfig {
    #[prost(message, optional, tag = "1")]
    pub(crate) metadata: Option<Metadata>,
    #[prost(string, tag = "3")]
    pub(crate) log_directory: String,
    #[prost(map = "string, string", tag = "7")]
    pub(crate) annotations: HashMap<String, String>,
    #[prost(message, optional, tag = "8")]
    pub(crate) linux: Option<LinuxSandbox>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RunPodSandboxRequest {
    #[prost(message, optional, tag = "1")]
    config: Option<SandboxConfig>,
    #[prost(string, tag = "2")]
    handler: String,
}

/// `RunPodSandboxResponse`, `CreateContainerResponse`, `PullImageResponse`: the
/// id or reference of what there is now.
#[derive(Clone, PartialEq, prost::Message)]
struct Made {
    #[prost(string, tag = "1")]
    id: String,
}

/// `StartContainerRequest`, `ContainerStatusRequest`
#[derive(Clone, PartialEq, prost::Message)]
struct Of {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Empty {}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ImageSpec {
    #[prost(string, tag = "1")]
    pub(crate) image: String,
    #[prost(map = "string, string", tag = "2")]
    pub(crate) annotations: HashMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ContainerSecurity {
    #[prost(bool, tag = "2")]
    privileged: bool,
    #[prost(message, optional, tag = "3")]
    namespaces: Option<Namespaces>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LinuxContainer {
    #[prost(message, optional, tag = "2")]
    security: Option<ContainerSecurity>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ContainerConfig {
    #[prost(message, optional, tag = "1")]
    metadata: Option<Metadata>,
    #[prost(message, optional, tag = "2")]
    image: Option<ImageSpec>,
    #[prost(string, tag = "11")]
    log_path: String,
    #[prost(message, optional, tag = "15")]
    linux: Option<LinuxContainer>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct CreateContainerRequest {
    #[prost(string, tag = "1")]
    sandbox: String,
    #[prost(message, optional, tag = "2")]
    config: Option<ContainerConfig>,
    #[prost(message, optional, tag = "3")]
    sandbox_config: Option<SandboxConfig>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PullImageRequest {
    #[prost(message, optional, tag = "1")]
    image: Option<ImageSpec>,
    #[prost(message, optional, tag = "3")]
    sandbox_config: Option<SandboxConfig>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ImageStatusRequest {
    #[prost(message, optional, tag = "1")]
    image: Option<ImageSpec>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ImageStatusResponse {
    #[prost(message, optional, tag = "1")]
    image: Option<Image>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Image {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(bool, tag = "8")]
    pub(crate) pinned: bool,
}

/// containerd's CRI services, called one after the other.
pub(crate) struct Cri {
    tokio: tokio::runtime::Runtime,
    channel: Channel,
}

impl Cri {
    /// A client that connects when it is first used.
    pub(crate) fn new(socket: &str) -> io::Result<Cri> {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let socket = PathBuf::from(socket);
        let connect = move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        };
        let channel = {
            let _entered = tokio.enter();
            let endpoint = Endpoint::from_static("http://containerd.sock");
            endpoint.connect_with_connector_lazy(tower::service_fn(connect))
        };
        Ok(Cri { tokio, channel })
    }

    fn call<Q, A>(&self, path: &'static str, request: Q) -> Result<A, Status>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let call = async {
            let mut grpc = Grpc::new(self.channel.clone());
            let ready = grpc.ready().await;
            ready.map_err(|error| Status::unavailable(error.to_string()))?;
            let path = PathAndQuery::from_static(path);
            let codec = ProstCodec::<Q, A>::default();
            let answer = grpc.unary(Request::new(request), path, codec).await?;
            Ok(answer.into_inner())
        };
        self.tokio.block_on(async {
            let answer = tokio::time::timeout(CALL, call).await;
            answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")))
        })
    }

    /// Whether CRI answers.
    pub(crate) fn status(&self) -> Result<(), Status> {
        let path = "/runtime.v1.RuntimeService/Status";
        self.call(path, Empty {}).map(|Empty {}| ())
    }

    pub(crate) fn run_pod(&self, config: &SandboxConfig, handler: &str) -> Result<String, Status> {
        let request = RunPodSandboxRequest {
            config: Some(config.clone()),
            handler: handler.to_owned(),
        };
        let path = "/runtime.v1.RuntimeService/RunPodSandbox";
        self.call(path, request).map(|made: Made| made.id)
    }

    /// Makes and starts a container in a pod.
    pub(crate) fn run_container(
        &self,
        sandbox: &str,
        pod: &SandboxConfig,
        image: &ImageSpec,
    ) -> Result<(), Status> {
        let security = pod.linux.as_ref().and_then(|linux| linux.security.as_ref());
        let security = ContainerSecurity {
            privileged: security.is_some_and(|security| security.privileged),
            namespaces: security.and_then(|security| security.namespaces.clone()),
        };
        let request = CreateContainerRequest {
            sandbox: sandbox.to_owned(),
            config: Some(ContainerConfig {
                metadata: Some(Metadata {
                    name: "main".to_owned(),
                    ..Metadata::default()
                }),
                image: Some(image.clone()),
                log_path: "main.log".to_owned(),
                linux: Some(LinuxContainer {
                    security: Some(security),
                }),
            }),
            sandbox_config: Some(pod.clone()),
        };
        let path = "/runtime.v1.RuntimeService/CreateContainer";
        let Made { id } = self.call(path, request)?;
        let path = "/runtime.v1.RuntimeService/StartContainer";
        self.call(path, Of { id }).map(|Empty {}| ())
    }

    pub(crate) fn pull(&self, image: &ImageSpec, pod: &SandboxConfig) -> Result<(), Status> {
        let request = PullImageRequest {
            image: Some(image.clone()),
            sandbox_config: Some(pod.clone()),
        };
        let path = "/runtime.v1.ImageService/PullImage";
        self.call(path, request).map(|Made { .. }| ())
    }

    /// What CRI knows of an image.
    pub(crate) fn image(&self, image: &str) -> Result<Option<Image>, Status> {
        let request = ImageStatusRequest {
            image: Some(ImageSpec {
                image: image.to_owned(),
                ..ImageSpec::default()
            }),
        };
        let path = "/runtime.v1.ImageService/ImageStatus";
        self.call(path, request)
            .map(|answer: ImageStatusResponse| answer.image)
    }
}

/// The longest that a call may take.
const CALL: Duration = Duration::from_secs(60);
