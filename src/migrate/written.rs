//! The files of a plan as what they are read as.

use super::Plan;
use crate::registry::CertsD;
use crate::{Document, ParseError};

impl Plan {
    /// The drop-ins as they would be read, and beside them the files that they
    /// import: what [`ExistingDropIns`](super::ExistingDropIns) takes, so that a
    /// program can ask what would become of them.
    ///
    /// ```
    /// use containerd_dropins::Document;
    /// use containerd_dropins::migrate::{ExistingDropIns, Options, Target, plan, plan_drop_ins};
    ///
    /// let file = Document::parse("/etc/k0s/containerd.toml", b"version = 2\noom_score = -5\n")?;
    /// let target = Target::find("v1.36.3+k0s.2")?;
    /// let first = plan(&file, &[], &target, &Options::default());
    ///
    /// let (drop_ins, imported) = first.documents()?;
    /// let existing = ExistingDropIns::new("/etc/k0s/containerd.d", &drop_ins)?.importing(&imported)?;
    /// let again = plan_drop_ins(&existing, &target, &Options::default());
    /// assert_eq!(again.drop_ins[0].text(), first.drop_ins[0].text());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If a file is more than the default [`Limits`](crate::Limits) let pass, or
    /// somebody changed it so that it is no TOML.
    pub fn documents(&self) -> Result<(Vec<Document>, Vec<Document>), ParseError> {
        let (mut drop_ins, mut imported) = (Vec::new(), Vec::new());
        for file in &self.drop_ins {
            let document = Document::parse(file.name.path(), file.text().as_bytes())?;
            match file.name.is_drop_in() {
                true => drop_ins.push(document),
                false => imported.push(document),
            }
        }
        Ok((drop_ins, imported))
    }

    /// The tree of `hosts.toml` files, at the directory that the drop-ins'
    /// `config_path` names; without files, one in which nothing is.
    ///
    /// ```
    /// use containerd_dropins::Document;
    /// use containerd_dropins::migrate::{Options, RegistryPolicy, Target, plan};
    ///
    /// let text = r#"
    /// version = 2
    /// [plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]
    /// endpoint = ["https://mirror.example"]
    /// "#;
    /// let file = Document::parse("/etc/k0s/containerd.toml", text.as_bytes())?;
    /// let target = Target::find("v1.36.3+k0s.2")?;
    /// let convert = Options::default().registry(RegistryPolicy::Convert);
    /// let plan = plan(&file, &[], &target, &convert);
    /// let asked = plan.certs_d().endpoints("docker.io", target.containerd());
    /// assert_eq!(asked[0].to_string(), "https://mirror.example/v2");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn certs_d(&self) -> CertsD {
        let first = self.hosts_files.first();
        let root = first.and_then(|file| file.path.strip_suffix(file.name.as_str()));
        let files = self.hosts_files.iter();
        let files = files.map(|file| (file.name.as_str(), file.text()));
        CertsD::new(root.unwrap_or_default(), files)
    }
}
