//! Settings of servers that count only beside the server's address.
//!
//! Up to containerd 2.2 the files are merged first, and `[ttrpc]` without an
//! address has that of gRPC, its owner and its group. containerd 2.3 makes a
//! plugin of each server, file by file: what stands in another file than the
//! address has no effect, a later address takes the owner away again, and
//! `[ttrpc]` with an owner and no address is no server at all.

use super::tree::{Dropped, Files, Id, Tree, Verdict, Why};
use crate::config::known::{GRPC_ADDRESS, Server, TTRPC_ADDRESS};
use crate::diagnostic::{Code, Finding};

/// Takes out what had no effect, and says so.
pub(super) fn without_address(tree: &mut Tree, files: Files<'_>) -> Vec<Finding> {
    let mut servers = Servers {
        tree,
        files,
        findings: Vec::new(),
    };
    servers.owner_without_address();
    servers.own_address();
    if !servers.tree.is_of_1_x() {
        servers.in_other_files();
        servers.taken_back();
    }
    servers.findings
}

struct Servers<'a> {
    tree: &'a mut Tree,
    files: Files<'a>,
    findings: Vec<Finding>,
}

impl Servers<'_> {
    /// The number of the file that a setting is from.
    fn file(&self, id: Id) -> Option<usize> {
        let sources = &self.tree.node(id).sources;
        sources.last().map(|source| source.file)
    }

    /// An address that is one.
    fn address(&mut self, path: &[&str]) -> Option<Id> {
        let id = self.tree.find(path)?;
        let is_set = self.tree.value(id).is_some_and(|value| !value.is_zero());
        is_set.then_some(id)
    }

    /// The settings among these that are to be kept.
    fn kept(&mut self, paths: &[Vec<&str>]) -> Vec<Id> {
        let ids = paths.iter().filter_map(|path| self.tree.find(path));
        let ids: Vec<Id> = ids.collect();
        ids.into_iter()
            .filter(|id| self.tree.is_kept(*id))
            .collect()
    }

    fn drop(&mut self, ids: Vec<Id>, why: &str) {
        for id in ids {
            let finding = self.files.finding(self.tree, id, Code::WithoutEffect, why);
            self.findings.push(finding);
            self.tree
                .judge(id, Verdict::Drop(Dropped::NoEffect, why.to_owned()));
        }
    }

    /// 1.x goes by the owner of gRPC's socket; 2.3 has no ttrpc server then.
    fn owner_without_address(&mut self) {
        if self.address(&TTRPC_ADDRESS).is_some() {
            return;
        }
        let why = match self.tree.is_of_1_x() {
            true => "without ttrpc.address the socket has the owner and the group of that of gRPC",
            false => {
                "without ttrpc.address containerd 2.3 starts no ttrpc server because of it; without it, there is one again, with the owner and the group of that of gRPC"
            }
        };
        let ids = self.kept(&Server::beside(TTRPC_ADDRESS));
        self.drop(ids, why);
    }

    /// An address that is containerd's default: k0s has another by its
    /// `--address`, and the owner counts beside an address only.
    fn own_address(&mut self) {
        let Some(id) = self.address(&TTRPC_ADDRESS) else {
            return;
        };
        let has_owner = !self.kept(&Server::beside(TTRPC_ADDRESS)).is_empty();
        // What 2.3 prints by itself is in a plugin; nobody prints it in a table.
        let is_in_table = self.tree.node(id).shell.is_none();
        let is_default = match self.tree.verdict(id) {
            Some(Verdict::Drop(Dropped::TargetDefault, _)) => is_in_table || has_owner,
            Some(Verdict::Drop(Dropped::StaleDefault, _)) => has_owner,
            _ => false,
        };
        if is_default {
            let why =
                "k0s starts containerd with an --address, beside which the ttrpc socket would be";
            self.tree
                .judge(id, Verdict::Keep(Why::Edit(why.to_owned())));
        }
    }

    fn in_other_files(&mut self) {
        for Server { address, settings } in Server::all() {
            let Some(id) = self.address(&address) else {
                continue;
            };
            let (file, is_kept) = (self.file(id), self.tree.is_kept(id));
            let mut others = self.kept(&settings);
            others.retain(|other| self.file(*other) != file);
            if is_kept && !others.is_empty() {
                let why = format!(
                    "containerd 2.3 reads it only in the file that has {}: move it there if it is wanted",
                    address.join(".")
                );
                self.drop(others, &why);
            }
        }
    }

    /// A later file with the address has an owner of its own, root.
    fn taken_back(&mut self) {
        let Some(later) = self.address(&GRPC_ADDRESS).and_then(|id| self.file(id)) else {
            return;
        };
        let mut before = self.kept(&Server::beside(GRPC_ADDRESS));
        before.retain(|id| self.file(*id).is_some_and(|file| file < later));
        let why = "a later file has grpc.address, with which containerd 2.3 sets owner and group back to 0";
        self.drop(before, why);
    }
}
