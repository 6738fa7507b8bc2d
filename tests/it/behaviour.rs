//! The same settings, another behaviour on containerd 2.x: what there is to say
//! of it. What is right is what daemons of 1.7.24, 2.1.9 and 2.2.7 to 2.3.4 did.

use containerd_dropins::Document;
use containerd_dropins::diagnostic::{Code, Severity};
use containerd_dropins::migrate::{Fate, Options, Plan, Target, plan_drop_ins};

use crate::support::{self, carried_over};
use crate::version_3::{NEW, OLD, long};

/// The findings with one of these codes, by line.
fn said(plan: &Plan, codes: &[Code]) -> Vec<(Code, usize)> {
    let findings = plan.findings.iter();
    let said = findings.filter(|finding| codes.contains(&finding.code));
    let line = |span: &containerd_dropins::diagnostic::Span| span.line;
    said.map(|finding| (finding.code, finding.span.as_ref().map_or(0, line)))
        .collect()
}

const ALL: &[Code] = &[
    Code::SandboxImageUnpinned,
    Code::SandboxImageNoReference,
    Code::SandboxImageNotFound,
    Code::CgroupLimits,
    Code::CgroupWritable,
    Code::IpPreference,
    Code::DevmapperPool,
    Code::TracingEnvironment,
    Code::FirstEffect,
    Code::PodsLost,
    Code::PodsRefused,
    Code::OptionType,
    Code::NotExpressible,
    Code::UnknownKey,
];

#[track_caller]
fn says(text: &str, k0s: &str, expected: &[(Code, usize)]) {
    let _ = planned(text, k0s, expected);
}

#[track_caller]
fn planned(text: &str, k0s: &str, expected: &[(Code, usize)]) -> Plan {
    let plan = support::migrate(&long(text), k0s);
    assert!(plan.verified, "{:?}", plan.findings);
    assert_eq!(said(&plan, ALL), expected, "{k0s}: {:?}", plan.findings);
    plan
}

/// On 2.x, and not on 1.7; and not of what 2.x ran already.
#[track_caller]
fn differs(table: &str, setting: &str, code: Code) {
    let text = |version: i64, table: &str| format!("version = {version}\n[{table}]\n{setting}\n");
    says(&text(2, table), OLD, &[]);
    says(&text(2, table), NEW, &[(code, 3)]);
    let of_3 = table.replace("CRI", "RUNTIME");
    says(&text(3, &of_3), NEW, &[]);
}

#[test]
fn settings_that_act_otherwise() {
    differs("CRI.cni", "ip_pref = \"ipv6\"", Code::IpPreference);
    for key in [
        "endpoint = \"http://c:4318\"",
        "protocol = \"grpc\"",
        "insecure = true",
    ] {
        let otlp = "plugins.\"io.containerd.tracing.processor.v1.otlp\"";
        differs(otlp, key, Code::TracingEnvironment);
    }
    for key in ["sampling_ratio = 0.5", "service_name = \"node\""] {
        let tracing = "plugins.\"io.containerd.internal.v1.tracing\"";
        differs(tracing, key, Code::TracingEnvironment);
    }
    says("version = 2\n[CRI.cni]\nip_pref = \"ipv4\"\n", NEW, &[]);
}

#[test]
fn a_pool_that_takes_everything_down() {
    let devmapper = "plugins.\"io.containerd.snapshotter.v1.devmapper\"";
    let pool =
        format!("version = 2\n[{devmapper}]\nbase_image_size = \"10GB\"\npool_name = \"p\"\n");
    says(&pool, OLD, &[]);
    says(&pool, NEW, &[(Code::DevmapperPool, 4)]);
    says(&pool.replace("= \"p\"", "= \"\""), NEW, &[]);
    let disabled = "disabled_plugins = [\"io.containerd.snapshotter.v1.devmapper\"]\n";
    says(&pool.replacen('[', &format!("{disabled}["), 1), NEW, &[]);
}

/// It goes, and nothing does what it did.
#[test]
fn cgroup_limits_come_back() {
    let text = "version = 2\n[CRI]\ndisable_cgroup = true\n";
    says(text, OLD, &[]);
    let plan = planned(text, NEW, &[(Code::CgroupLimits, 3)]);
    assert_eq!(plan.severity(), Some(Severity::Error));
    assert_eq!(plan.ledger[1].fate, Fate::NotExpressible);
    let not = planned("version = 2\n[CRI]\ndisable_cgroup = false\n", NEW, &[]);
    assert!(not.is_sound());
}

const RUNC: &str =
    "version = 2\n[CRI.containerd.runtimes.a]\nruntime_type = \"io.containerd.runc.v2\"\n";
const KATA: &str =
    "version = 2\n[CRI.containerd.runtimes.a]\nruntime_type = \"io.containerd.kata.v2\"\n";

/// 1.7 takes no notice and runs the handlers' pods, 2.x would not: it is left out.
#[test]
fn pods_that_would_be_lost() {
    for setting in [
        "sandbox_mode = \"shim\"",
        "sandbox_mode = \"nope\"",
        "io_type = \"streaming\"",
        // CRI would not load.
        "io_type = \"nope\"",
    ] {
        let text = format!("{RUNC}{setting}\n");
        says(&text, OLD, &[]);
        let plan = planned(&text, NEW, &[]);
        assert_eq!(
            said(&plan, &[Code::WithoutEffect]),
            [(Code::WithoutEffect, 4)]
        );
        assert!(plan.is_sound(), "{:?}", plan.findings);
        let entry = plan.ledger.last().unwrap();
        assert_eq!(entry.fate, Fate::NoEffect);
        assert!(
            entry
                .reason
                .contains("containerd 1.7.34 takes no notice of it")
        );
        // The drop-ins stay, and so does what is said.
        let set = carried_over(&[("a.toml", long(&text).as_str())], NEW);
        assert!(
            !set.drop_ins[0].text().contains(setting),
            "{:?}",
            set.drop_ins
        );
    }
    let streaming = format!("{RUNC}io_type = \"streaming\"\n");
    // Other shims may do both.
    let kata = format!("{KATA}sandbox_mode = \"shim\"\nio_type = \"streaming\"\n");
    says(&kata, NEW, &[(Code::FirstEffect, 4)]);
    says(&format!("{KATA}sandbox_mode = \"podsandbox\"\n"), NEW, &[]);
    // 1.7 does not read the option in this spelling.
    let spelling = format!("{RUNC}[CRI.containerd.runtimes.a.options]\nSystemDCgroup = \"true\"\n");
    says(&spelling, OLD, &[]);
    says(&spelling, NEW, &[(Code::PodsLost, 5)]);
    // In version 3 it ran on 2.x as it is.
    let of_3 = streaming.replace("= 2", "= 3").replace("CRI", "RUNTIME");
    says(&of_3, NEW, &[(Code::PodsRefused, 4)]);
}

/// Those of 1.7 fail for it too.
#[test]
fn pods_that_never_ran() {
    let none = "version = 2\n[CRI.containerd.runtimes.a]\npod_annotations = [\"a\"]\n";
    let text = format!("{RUNC}[CRI.containerd.runtimes.a.options]\nSystemdCgroup = \"true\"\n");
    let other = format!("{KATA}[CRI.containerd.runtimes.a.options]\nSystemdCgroup = \"true\"\n");
    let empty = "version = 2\n[CRI.containerd.runtimes.a]\nruntime_type = \"\"\n[CRI.containerd.runtimes.a.options]\nRoot = \"/r\"\n";
    for k0s in [OLD, NEW] {
        says(none, k0s, &[(Code::PodsRefused, 2)]);
        says(empty, k0s, &[(Code::PodsRefused, 2)]);
        says(&text, k0s, &[(Code::OptionType, 5)]);
        says(&other, k0s, &[]);
    }
}

/// What 1.7 took no notice of is lost to nobody.
#[test]
fn later_settings_in_a_file_of_version_2() {
    let text = format!(
        "{KATA}io_type = \"fifo\"\ncgroup_writable = true\nsandboxer = \"shim\"\n[CRI]\nstats_retention_period = \"5m\"\n[CRI.cni]\nuse_internal_loopback = true\n[plugins.\"io.containerd.snapshotter.v1.overlayfs\"]\nslow_chown = true\n"
    );
    let plan = planned(&text, OLD, &[]);
    assert!(plan.is_sound(), "{:?}", plan.findings);
    assert_eq!(
        said(&plan, &[Code::NotInTarget]).len(),
        6,
        "{:?}",
        plan.findings
    );
    let plan = planned(
        &text,
        NEW,
        &[(Code::CgroupWritable, 5), (Code::FirstEffect, 6)],
    );
    assert!(plan.is_sound(), "{:?}", plan.findings);
    // What ran on 2.x is lost.
    let of_3 = "version = 3\n[RUNTIME.cni]\nuse_internal_loopback = true\n";
    says(of_3, OLD, &[(Code::NotExpressible, 3)]);
}

#[test]
fn sandbox_images() {
    let image = |image: &str| format!("version = 2\n[CRI]\nsandbox_image = \"{image}\"\n");
    let digest = format!("@sha256:{}", "0".repeat(64));
    let both = format!("r.example/pause:3.9{digest}");
    // k0s 1.36.3 carries containerd 2.3.3.
    for name in ["r.example/pause", "pause:3.9", &both] {
        says(&image(name), OLD, &[]);
        says(&image(name), NEW, &[(Code::SandboxImageNotFound, 3)]);
    }
    for name in ["r.example/pause:3.9", &format!("r.example/pause{digest}")] {
        says(&image(name), NEW, &[]);
    }
    for (name, left) in [
        ("{{ repo }}:{{ tag }}", "{{ repo }}"),
        ("${R}/pause:3.9", "${R}"),
    ] {
        for k0s in [OLD, NEW] {
            let plan = planned(&image(name), k0s, &[(Code::SandboxImageNoReference, 3)]);
            let finding = &plan.findings[0];
            assert_eq!(finding.severity, Severity::Error);
            assert!(
                finding
                    .message
                    .ends_with(&format!("the placeholder {left} was left in"))
            );
        }
    }
}

/// 1.7 goes by the owner of the gRPC socket; 2.3 would start no ttrpc server.
#[test]
fn owner_of_ttrpc_without_an_address() {
    for k0s in [OLD, NEW] {
        let text = "version = 2\n[ttrpc]\nuid = 7\ngid = 8\n[grpc]\ngid = 5\n";
        let plan = support::migrate(text, k0s);
        assert!(plan.is_sound(), "{:?}", plan.findings);
        assert_eq!(
            said(&plan, &[Code::WithoutEffect]),
            [(Code::WithoutEffect, 3), (Code::WithoutEffect, 4)]
        );
        let [_, uid, gid, _] = plan.ledger.as_slice() else {
            panic!("{:?}", plan.ledger)
        };
        assert_eq!([&uid.fate, &gid.fate], [&Fate::NoEffect; 2]);
        let written: String = support::drop_ins(&plan).into_values().collect();
        assert!(written.ends_with("[grpc]\ngid = 5\n"), "{written}");
        // Beside one they count.
        let text = "version = 2\n[ttrpc]\naddress = \"/run/t.sock\"\nuid = 7\n";
        let plan = support::migrate(text, k0s);
        let written: String = support::drop_ins(&plan).into_values().collect();
        assert!(
            written.ends_with("[ttrpc]\naddress = \"/run/t.sock\"\nuid = 7\n"),
            "{written}"
        );
    }
}

/// 2.3 has it for a default, and k0s another by `--address`.
#[test]
fn the_default_address_of_ttrpc_is_not_that_of_k0s() {
    let text =
        "version = 2\n[ttrpc]\naddress = \"/run/containerd/containerd.sock.ttrpc\"\nuid = 7\n";
    let plan = support::migrate(text, NEW);
    assert!(plan.is_sound(), "{:?}", plan.findings);
    let written: String = support::drop_ins(&plan).into_values().collect();
    assert!(written.ends_with(&text[13..]), "{written}");
}

/// 1.7 merges the files first: the TLS settings are in effect.
#[test]
fn servers_in_two_files_of_version_2() {
    let files = [
        (
            "a.toml",
            "version = 2\n[grpc]\ntcp_address = \"127.0.0.1:1\"\n[debug]\nuid = 7\n",
        ),
        (
            "b.toml",
            "version = 2\n[grpc]\ntcp_tls_cert = \"/c\"\ntcp_tls_key = \"/k\"\n[debug]\naddress = \"/run/d.sock\"\n",
        ),
    ];
    let plan = carried_over(&files, NEW);
    assert!(plan.is_sound(), "{:?}", plan.findings);
    assert_eq!(said(&plan, &[Code::WithoutEffect]), []);
    // containerd 2.3 wants each server in one file.
    let written = support::drop_ins(&plan);
    assert_eq!(written.keys().collect::<Vec<_>>(), ["b.toml"]);
    for setting in [
        "tcp_address",
        "tcp_tls_cert",
        "tcp_tls_key",
        "uid = 7",
        "address = \"/run/d.sock\"",
    ] {
        assert!(written["b.toml"].contains(setting), "{written:?}");
    }
}

/// containerd 2.3 makes a plugin of each server, file by file: they are not.
#[test]
fn servers_in_two_files_of_version_3() {
    let files = [
        (
            "a.toml",
            "version = 3\n[grpc]\ntcp_address = \"127.0.0.1:1\"\ngid = 5\n[debug]\nuid = 7\n",
        ),
        (
            "b.toml",
            "version = 3\n[grpc]\ntcp_tls_cert = \"/c\"\ntcp_tls_key = \"/k\"\n[debug]\naddress = \"/run/d.sock\"\ngid = 9\n",
        ),
    ];
    let plan = carried_over(&files, NEW);
    assert!(plan.verified, "{:?}", plan.findings);
    assert_eq!(
        said(&plan, &[Code::WithoutEffect]),
        [
            (Code::WithoutEffect, 6),
            (Code::WithoutEffect, 3),
            (Code::WithoutEffect, 4)
        ]
    );
    let written: String = support::drop_ins(&plan).into_values().collect();
    for gone in ["tcp_tls", "uid"] {
        assert!(!written.contains(gone), "{written}");
    }
    for kept in [
        "tcp_address = ",
        "gid = 5",
        "address = \"/run/d.sock\"",
        "gid = 9",
    ] {
        assert!(written.contains(kept), "{written}");
    }
    // In one file they are in effect, and stay.
    let one = "version = 3\n[grpc]\ntcp_address = \"127.0.0.1:1\"\ntcp_tls_cert = \"/c\"\ntcp_tls_key = \"/k\"\n[debug]\naddress = \"/run/d.sock\"\nuid = 7\n";
    let plan = carried_over(&[("a.toml", one)], NEW);
    assert_eq!(said(&plan, &[Code::WithoutEffect]), []);
}

/// The address is k0s's, and yet takes the group of the socket away.
#[test]
fn a_later_address_of_grpc() {
    let [group, address] = [
        "version = 3\n[grpc]\ngid = 5\n",
        "version = 3\n[grpc]\naddress = \"/run/k0s/containerd.sock\"\n",
    ];
    let lost = carried_over(&[("a.toml", group), ("b.toml", address)], NEW);
    assert_eq!(
        said(&lost, &[Code::WithoutEffect]),
        [(Code::WithoutEffect, 3)]
    );
    let kept = carried_over(&[("a.toml", address), ("b.toml", group)], NEW);
    assert_eq!(said(&kept, &[Code::WithoutEffect]), []);
    // 1.7 keeps it either way.
    let of_2 = [group, address].map(|text| text.replace("= 3", "= 2"));
    let kept = carried_over(&[("a.toml", &of_2[0]), ("b.toml", &of_2[1])], NEW);
    assert_eq!(said(&kept, &[Code::WithoutEffect]), []);
}

/// k0s 1.36 reads it with a buffer of 65,536 bytes, the line's end included.
#[test]
fn a_first_line_that_k0s_does_not_read() {
    let text = |length: usize| format!("# {}\nversion = 2\n", "x".repeat(length - 2));
    let says = |text: &str, k0s: &str| {
        let plan = support::migrate(text, k0s);
        !said(&plan, &[Code::FirstLineTooLong]).is_empty()
    };
    assert!(says(&text(65_536), NEW));
    assert!(!says(&text(65_535), NEW));
    assert!(!says(&text(65_536), OLD));
    assert!(says(&format!("#{}", "x".repeat(65_535)), NEW));
    assert!(!says(&format!("#{}", "x".repeat(65_534)), NEW));
    // Beside drop-ins it is no better.
    let main = Document::parse("/etc/k0s/containerd.toml", text(70_000).as_bytes()).unwrap();
    let existing = support::existing("/etc/k0s/containerd.d", &[], &[]).with_main(Some(&main));
    let plan = plan_drop_ins(&existing, &Target::find(NEW).unwrap(), &Options::default());
    assert_eq!(
        said(&plan, &[Code::FirstLineTooLong]),
        [(Code::FirstLineTooLong, 1)]
    );
}

/// What is said once is not said of the result again.
#[test]
fn the_result_is_quiet() {
    let text = format!(
        "{KATA}sandbox_mode = \"shim\"\n[CRI.cni]\nip_pref = \"ipv6\"\n[plugins.\"io.containerd.tracing.processor.v1.otlp\"]\nendpoint = \"http://c\"\n"
    );
    let expected = [
        (Code::FirstEffect, 4),
        (Code::IpPreference, 6),
        (Code::TracingEnvironment, 8),
    ];
    let first = planned(&text, NEW, &expected);
    let written = support::drop_ins(&first);
    let files: Vec<(&str, &str)> = written
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let again = carried_over(&files, NEW);
    assert_eq!(again.findings, []);
}
