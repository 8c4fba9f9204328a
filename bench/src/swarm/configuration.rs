//! Accounts for the phones of the swarm, as their servers want them.

use std::io::{self, Write};

use md5::{Digest as _, Md5};

use super::options::{Configuration, Server, Store};
use super::roster::{ACCOUNTS_PER_TENANT_MAX, domain};
use crate::in_memory::{Role, password};

/// Writes what was asked for.
///
/// # Errors
/// `out` does not take it.
pub(super) fn write(wanted: &Configuration, out: &mut dyn Write) -> io::Result<()> {
    match wanted.server {
        Server::Hotdesk => hotdesk(wanted, out),
        Server::Kamailio => kamailio(wanted.phones, out),
    }
}

fn hotdesk(wanted: &Configuration, out: &mut dyn Write) -> io::Result<()> {
    let Configuration { phones, workers, listen, .. } = *wanted;
    writeln!(out, "# Made by swarm: {phones} phones. All secrets are known to everybody.")?;
    writeln!(out, "[edge]\nname = \"swarm\"\nworkers = {workers}\n")?;
    writeln!(out, "# A line a log-in would be most of the work.\n[log]\nlevel = \"warn\"\n")?;
    writeln!(out, "[[listen]]\nprotocol = \"udp\"\naddress = \"{listen}\"\ntenant = \"tenant-0\"\n")?;
    match wanted.store {
        Store::Memory => writeln!(out, "[store]\nkind = \"memory\"\n")?,
        Store::Embedded => writeln!(out, "[store]\nkind = \"embedded\"\npath = \"{}\"\n", wanted.path)?,
    }
    if let Some(control) = wanted.control {
        writeln!(
            out,
            "[control]\naddress = \"{control}\"\ntokens = [{{ name = \"swarm\", token = \"swarm-token\" }}]\n"
        )?;
    }
    for tenant in 0..phones.div_ceil(ACCOUNTS_PER_TENANT_MAX) {
        let first = tenant * ACCOUNTS_PER_TENANT_MAX;
        let accounts = first..phones.min(first + ACCOUNTS_PER_TENANT_MAX);
        writeln!(out, "[[tenant]]\nid = \"tenant-{tenant}\"\ndomains = [\"{}\"]", domain(tenant))?;
        writeln!(out, "codes = {{ login = \"*11\", logout = \"*12\" }}")?;
        // One line an account: a file has at most 64 MiB.
        writeln!(out, "extension = [")?;
        for number in accounts.clone() {
            let user = Role::Extension(number).user(number);
            writeln!(out, "{{number=\"{user}\",password=\"{}\",own_phones_max=1}},", password(&user))?;
        }
        writeln!(out, "]")?;
        if wanted.desks {
            writeln!(out, "device = [")?;
            for number in accounts {
                let user = Role::Device.user(number);
                writeln!(out, "{{id=\"{user}\",password=\"{}\",reload=\"check-sync\"}},", password(&user))?;
            }
            // Whoever was put out sits down again at once.
            writeln!(out, "]\n\n[tenant.seats]\nnative = true\nnative_silence = \"0s\"")?;
        }
        if wanted.trusted {
            writeln!(out, "\n[tenant.registration]\ntrusted_networks = [\"127.0.0.0/8\"]")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Lines `user:ha1`.
fn kamailio(phones: u32, out: &mut dyn Write) -> io::Result<()> {
    for number in 0..phones {
        let user = Role::Extension(number).user(number);
        let realm = domain(number / ACCOUNTS_PER_TENANT_MAX);
        let ha1 = Md5::digest(format!("{user}:{realm}:{}", password(&user)));
        write!(out, "{user}:")?;
        for octet in ha1 {
            write!(out, "{octet:02x}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}
