//! `[tenant.pins]`: where a tenant's PINs are kept, what opens who has none, which operators have a master PIN, what a new PIN
//! must be.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dataplane::settings::{Extension, StoredPin};

use super::account::{self, Seen};
use super::keys::{self, nearest};
use super::name;
use super::read::{Choice, Table};
use super::report::{Problem, Span};
use super::server::Server;
use crate::backend::pin::desk::{BackendPlan, Master, Plan};
use crate::backend::pin::rules::PIN_DIGITS;
use crate::backend::pin::voicemail_conf::VoicemailFile;

/// Most backends of a tenant: all are asked, one after the other, before an extension is known to be unknown.
const BACKENDS_MAX: usize = 8;
/// Most master PINs of a tenant: a wrong PIN is compared with all of them.
const MASTERS_MAX: usize = 8;
/// Asterisk's own spool folder.
const SPOOL: &str = "/var/spool/asterisk";

/// Files that PINs are read from, each once however many tenants name it.
#[derive(Debug)]
pub(super) struct PinFiles<'a> {
    /// The folder of the configuration file; paths are relative to it.
    base: &'a Path,
    opened: RefCell<Vec<Arc<VoicemailFile>>>,
}

impl<'a> PinFiles<'a> {
    pub(super) fn new(base: &'a Path) -> Self {
        Self { base, opened: RefCell::default() }
    }

    /// The file at `path`, and what is to be remarked on it where it is read for the first time.
    fn open(&self, path: &str, spool: &str) -> (Arc<VoicemailFile>, Vec<String>) {
        let (path, spool): (PathBuf, PathBuf) = (self.base.join(path), self.base.join(spool));
        let mut opened = self.opened.borrow_mut();
        if let Some(known) = opened.iter().find(|file| file.is_at(&path, &spool)) {
            return (Arc::clone(known), Vec::new());
        }
        let (file, remarks) = VoicemailFile::open(&path, &spool);
        let file = Arc::new(file);
        opened.push(Arc::clone(&file));
        (file, remarks)
    }
}

/// Reads the PINs of `tenant`, which are those of `extensions`.
pub(super) fn read(
    tenant: &Table<'_>,
    server: &Server,
    files: &PinFiles<'_>,
    extensions: &[(Extension, Span)],
) -> Plan {
    let defaults = Plan::default();
    let Some(table) = tenant.table("pins", &keys::TENANT_PINS) else { return defaults };
    let (least, most) = (*PIN_DIGITS.start() as u32, *PIN_DIGITS.end() as u32);
    let length_min = table.number("length_min", least..=most);
    let backends: Vec<_> = table
        .tables("backend", &keys::PIN_BACKEND, BACKENDS_MAX)
        .iter()
        .filter_map(|table| backend(table, files))
        .collect();
    let mut operators = Seen::default();
    let masters = table.tables("master", &keys::PIN_MASTER, MASTERS_MAX);
    let masters = masters.iter().filter_map(|table| master(table, server, &mut operators)).collect();
    let fallback_table = table.table("fallback", &keys::PIN_FALLBACK);
    let plan = Plan {
        backends: if backends.is_empty() { defaults.backends } else { backends },
        masters,
        fallback: fallback_table.as_ref().and_then(|table| fallback(table, server)),
        length_min: length_min.map_or(defaults.length_min, |digits| digits as usize),
    };
    if let (Some(table), Some(fallback)) = (fallback_table, &plan.fallback) {
        let opened = extensions.iter().filter(|(extension, _)| falls_back(&plan, extension)).count();
        warn_of_fallback(&table, fallback, opened);
    }
    plan
}

fn backend(table: &Table<'_>, files: &PinFiles<'_>) -> Option<BackendPlan> {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        File,
        VoicemailConf,
    }
    const KINDS: [Choice<Kind>; 6] = [
        ("file", Some(Kind::File)),
        ("voicemail_conf", Some(Kind::VoicemailConf)),
        ("sql", None),
        ("http", None),
        ("radius", None),
        ("ldap", None),
    ];

    table.required("kind", "kind = \"file\" or \"voicemail_conf\"");
    let kind = table.choice("kind", &KINDS);
    let (path, context, spool) = (table.text("path"), table.text("context"), table.text("spool"));
    if kind? == Kind::File {
        for (key, useless) in [("path", path), ("context", context), ("spool", spool)] {
            let Some(useless) = useless else { continue };
            let problem = Problem::warning(format!("`{key}` has no effect where PINs are in this file"));
            table.add(problem.at(&useless.span, "this"));
        }
        return Some(BackendPlan::File);
    }
    if path.is_none() && table.entry("path").is_none() {
        table.missing("path", "path = \"/etc/asterisk/voicemail.conf\"");
    }
    let path = path?;
    let (file, remarks) = files.open(path.value, spool.map_or(SPOOL, |spool| spool.value));
    for remark in remarks {
        table.add(Problem::warning(remark).at(&path.span, "in this file"));
    }
    let name = context.as_ref().map_or("default", |context| context.value);
    let contexts = file.contexts();
    if !file.is_readable() {
        let fault =
            format!("{} cannot be read: no PIN of it can be checked until it can", file.path().display());
        table.add(Problem::warning(fault).at(&path.span, "this").help("it, and all that it includes"));
    } else if !contexts.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        let span = context.as_ref().map_or(&table.span, |context| &context.span);
        let problem = Problem::warning(format!("the file has no context {name}")).at(span, "this");
        table.add(match nearest(name, contexts.iter().map(|known| &**known)) {
            Some(near) => problem.help(format!("did you mean \"{near}\"?")),
            None => problem.help(format!("it has: {}", contexts.join(", "))),
        });
    }
    Some(BackendPlan::VoicemailConf { file, context: name.into() })
}

fn master(table: &Table<'_>, server: &Server, operators: &mut Seen) -> Option<Master> {
    let name = table.required("name", "add name = \"…\": the audit trail says who used it");
    let operator = name.and_then(|text| {
        let operator = name::name(&text, table.findings())?;
        let fault = || format!("two master PINs are called {operator}");
        operators.once(&operator, &text.span, table.findings(), fault);
        Some(operator)
    });
    let hash = table.required("hash", "hash = \"…\", from: hotdesk hash-pin")?;
    let phc = account::stored(&hash, false, table, server)?;
    Some(Master { operator: operator?.as_ref().into(), phc: phc.into() })
}

/// Whoever has it is good for everybody who has no PIN, so by default it opens nothing but the way to a PIN of one's own.
fn fallback(table: &Table<'_>, server: &Server) -> Option<StoredPin> {
    let must_change = table.boolean("must_change").unwrap_or(true);
    let hash = table.required("hash", "hash = \"…\", from: hotdesk hash-pin")?;
    let phc = account::stored(&hash, false, table, server)?;
    Some(StoredPin { must_change, ..StoredPin::new(phc) })
}

/// Says how many people one PIN is good for.
fn warn_of_fallback(table: &Table<'_>, fallback: &StoredPin, opened: usize) {
    let can = if fallback.must_change { "can choose the PIN of" } else { "can log in as" };
    let whom = match opened {
        0 => "every extension that is added without a PIN".to_owned(),
        1 => "the one extension that has no PIN".to_owned(),
        opened => format!("each of the {opened} extensions that have no PIN"),
    };
    let problem = Problem::warning(format!("whoever knows the fallback PIN {can} {whom}"));
    let help = "give every extension a PIN of its own and remove this table";
    table.add(problem.at(&table.span, "this").help(help));
}

/// True if the fallback of `plan` opens `extension`: no backend knows it.
fn falls_back(plan: &Plan, extension: &Extension) -> bool {
    let is_known = |backend: &BackendPlan| match backend {
        BackendPlan::File => extension.pin.is_some(),
        BackendPlan::VoicemailConf { file, context } => file.has_mailbox(context, &extension.number),
    };
    plan.fallback.is_some() && !plan.backends.iter().any(is_known)
}

/// True if some backend of `plan` has a PIN of `extension`, or its fallback opens it.
pub(super) fn has_pin(plan: &Plan, extension: &Extension) -> bool {
    let is_in = |backend: &BackendPlan| match backend {
        BackendPlan::File => extension.pin.is_some(),
        BackendPlan::VoicemailConf { file, context } => file.has_pin(context, &extension.number),
    };
    plan.backends.iter().any(is_in) || falls_back(plan, extension)
}

/// The extensions whose PIN in the file counts for nothing, because the file is none of the backends.
pub(super) fn unused<'e>(
    plan: &Plan,
    extensions: &'e [(Extension, Span)],
) -> impl Iterator<Item = (&'e str, &'e Span)> {
    let is_file = plan.backends.iter().any(|backend| matches!(backend, BackendPlan::File));
    let with_pin = extensions.iter().filter(move |(extension, _)| !is_file && extension.pin.is_some());
    with_pin.map(|(extension, span)| (&*extension.number, span))
}
