//! Accounts for the phones of the swarm, as their servers want them.

use std::io::{self, Write};

use md5::{Digest as _, Md5};

use super::options::{Configuration, Server, Store};
use super::roster::{ACCOUNTS_PER_TENANT_MAX, domain};
use crate::in_memory::{Role, password};

/// The hash of everybody's PIN, 7738: the cheapest Argon2id there is, since what it costs is another matter.
const PIN_HASH: &str =
    "$argon2id$v=19$m=8,t=1,p=1$c3dhcm0gb2YgcGhvbmVzLg$mHLL+RMFpUh/pL38dL/zA096LS0lAqCvLwF6yrntMMY";

/// Writes what was asked for.
///
/// # Errors
/// `out` does not take it.
pub fn write(wanted: &Configuration, out: &mut dyn Write) -> io::Result<()> {
    match wanted.server {
        Server::Hotdesk => hotdesk(wanted, out),
        Server::Kamailio => kamailio(wanted.phones, out),
    }
}

fn hotdesk(wanted: &Configuration, out: &mut dyn Write) -> io::Result<()> {
    let Configuration { phones, workers, transactions_max, listen, .. } = *wanted;
    writeln!(out, "# Made by swarm: {phones} phones. All secrets are known to everybody.")?;
    writeln!(out, "[edge]\nname = \"swarm\"\nworkers = {workers}\ntransactions_max = {transactions_max}\n")?;
    writeln!(out, "# A line a log-in would be most of the work.\n[log]\nlevel = \"warn\"\n")?;
    writeln!(out, "[[listen]]\nprotocol = \"udp\"\naddress = \"{listen}\"\ntenant = \"tenant-0\"\n")?;
    match wanted.store {
        Store::Memory => writeln!(out, "[store]\nkind = \"memory\"\n")?,
        Store::Embedded => writeln!(out, "[store]\nkind = \"embedded\"\npath = \"{}\"\n", wanted.path)?,
    }
    // All phones are at one address here, many of them at one port.
    writeln!(out, "[admission]\nsource_rate = 1000000\naddress_rate = 1000000\n")?;
    writeln!(out, "[timers]\nt1 = \"{}ms\"\n", wanted.t1)?;
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
        if wanted.trusted {
            writeln!(out, "customer = \"swarm\"\ntrusted_networks = [\"127.0.0.0/8\"]")?;
        }
        // One line an account: a file has at most 64 MiB.
        writeln!(out, "extension = [")?;
        let pin = if wanted.desks { format!(",pin={{hash=\"{PIN_HASH}\"}}") } else { String::new() };
        for number in accounts.clone() {
            let user = Role::Extension(number).user(number);
            let password = password(&user);
            writeln!(out, "{{number=\"{user}\",password=\"{password}\",own_phones_max=1{pin}}},")?;
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
        writeln!(out)?;
    }
    Ok(())
}

/// A table of `db_text` for the module `htable`: key, type of key and value (0: string), value, expiry.
fn kamailio(phones: u32, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "key_name(string) key_type(int) value_type(int) key_value(string) expires(int)")?;
    for number in 0..phones {
        let user = Role::Extension(number).user(number);
        let realm = domain(number / ACCOUNTS_PER_TENANT_MAX);
        let ha1 = Md5::digest(format!("{user}:{realm}:{}", password(&user)));
        write!(out, "{user}:0:0:")?;
        for octet in ha1 {
            write!(out, "{octet:02x}")?;
        }
        writeln!(out, ":0")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::swarm::options::{Command, Options};

    fn written(words: &str) -> String {
        let words = ["swarm", "configuration"].into_iter().chain(words.split_whitespace());
        let Command::Configuration(wanted) = Options::parse_from(words).command else {
            unreachable!("asked for")
        };
        let mut out = Vec::new();
        write(&wanted, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_million_phones_fit_into_a_file() {
        let file = written("--phones 1000000");

        assert!(file.len() <= 64 << 20, "{}", file.len());
        assert_eq!(file.matches("[[tenant]]").count(), 10);
    }

    #[test]
    fn kamailio_is_told_what_the_digest_is_made_of() {
        let table = written("--for kamailio --phones 2");

        // md5sum of 1000001:demo.hotdesk:secret of 1000001
        assert!(table.ends_with("1000001:0:0:7b5e91b500d0dda449d8df9f2c4c8db1:0\n"), "{table}");
    }
}
