//! What a newcomer reads when the edge runs: how to point a phone at it, and what to do then.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use dataplane::settings::{Device, Extension, Settings, Tenant};
use hotdesk::backend::pin::hash;
use hotdesk::server::Edge;
use hotdesk::server::controls::Controls;

/// The PIN and token of the quick start: no secrets, since everybody can read them. They are printed only where
/// they are the right ones.
const QUICKSTART_PIN: &str = "7738";
const QUICKSTART_TOKEN: &str = "demo-token";

/// The text for `edge`, which runs on `file`.
pub(crate) fn text(edge: &Edge, file: &Path) -> String {
    compose(edge.controls(), edge.control_address(), file).expect("writing to a String cannot fail")
}

fn compose(controls: &Controls, control: Option<SocketAddr>, file: &Path) -> Result<String, std::fmt::Error> {
    let settings = controls.settings.borrow();
    let mut text = String::new();
    writeln!(text, "\n{} is running.\n", settings.edge_name)?;
    for listener in &settings.listeners {
        writeln!(text, "  SIP      {}  {}", listener.protocol.via().to_lowercase(), listener.local)?;
    }
    if let Some(address) = control {
        writeln!(text, "  control  http://{address}  (docs/control-api.md)")?;
    }
    if let Some((tenant, device)) = first_device(&settings) {
        let server = settings.listeners.first().map(|listener| listener.local);
        writeln!(text, "\nPoint a phone at it:\n")?;
        if let Some(server) = server {
            writeln!(text, "  server    {server}")?;
        }
        writeln!(text, "  domain    {}", tenant.realm())?;
        writeln!(text, "  user      {}", device.id)?;
        match quickstart_password(tenant, device) {
            Some(password) => writeln!(text, "  password  {password}")?,
            None => writeln!(text, "  password  as in {}", file.display())?,
        }
        dialling(&mut text, tenant, device)?;
    }
    if let Some(address) = control {
        let server = controls.server.borrow();
        let known = server.control.as_ref().and_then(|control| control.bearer(QUICKSTART_TOKEN.as_bytes()));
        let token = known.map_or("TOKEN", |_| QUICKSTART_TOKEN);
        writeln!(text, "\nSee who sits where:\n")?;
        writeln!(text, "  curl -H 'Authorization: Bearer {token}' http://{address}/v1/seats")?;
    }
    let process = std::process::id();
    writeln!(text, "\nCtrl-C stops it; kill -HUP {process} reloads {}.\n", file.display())?;
    Ok(text)
}

fn dialling(text: &mut String, tenant: &Tenant, device: &Device) -> std::fmt::Result {
    let Some(extension) = tenant.extensions.iter().find(|extension| extension.pin.is_some()) else {
        return Ok(());
    };
    if tenant.codes.login.is_empty() {
        return Ok(());
    }
    let pin = if has_quickstart_pin(extension) { QUICKSTART_PIN } else { "PIN" };
    let (login, number, name) = (&tenant.codes.login, &extension.number, &extension.name);
    writeln!(text, "\nDial  {login}*{number}*{pin}  there, and {name} sits at {}.", device.name)?;
    if !tenant.codes.logout.is_empty() {
        writeln!(text, "Dial  {}  to leave again.", tenant.codes.logout)?;
    }
    Ok(())
}

fn first_device(settings: &Settings) -> Option<(&Tenant, &Device)> {
    settings.tenants.iter().find_map(|tenant| Some((&**tenant, tenant.devices.first()?)))
}

/// `demo-` and the name, if that is what the account has.
fn quickstart_password(tenant: &Tenant, device: &Device) -> Option<String> {
    let password = format!("demo-{}", device.id);
    (dataplane::auth::secret(&device.id, tenant.realm(), &password) == device.secret).then_some(password)
}

fn has_quickstart_pin(extension: &Extension) -> bool {
    let pin = extension.pin.as_ref();
    pin.is_some_and(|pin| hash::verify(&pin.phc, QUICKSTART_PIN.as_bytes(), None).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use hotdesk::config::{self, Source};

    use super::*;

    fn edge(text: &str) -> Edge {
        let source = Source {
            name: "quickstart.toml",
            text,
            base: Path::new(""),
            readable_by_others: false,
            resolve: &|_, _| Ok(Vec::new()),
        };
        Edge::start(config::parse(&source).unwrap()).unwrap()
    }

    /// The quick start on ports of the system's choice and without a file.
    fn quickstart() -> String {
        include_str!("../configs/quickstart.toml")
            .replace("127.0.0.1:5060", "127.0.0.1:0")
            .replace("127.0.0.1:8060", "127.0.0.1:0")
            .replace("kind = \"embedded\"\npath = \"var/hotdesk.db\"", "kind = \"memory\"")
    }

    #[test]
    fn a_newcomer_is_told_account_string_and_command() {
        let edge = edge(&quickstart());

        let text = text(&edge, Path::new("quickstart.toml"));

        let control = edge.control_address().unwrap();
        for line in [
            format!("server    {}", edge.addresses()[0]),
            "password  demo-desk-1".into(),
            "*11*1001*7738  there, and John Smith sits at Desk 1.".into(),
            format!("curl -H 'Authorization: Bearer demo-token' http://{control}/v1/seats"),
        ] {
            assert!(text.contains(&line), "{line} in {text}");
        }
    }

    #[test]
    fn other_secrets_are_not_printed() {
        let edge = edge(&quickstart().replace("demo-desk-1", "another").replace("demo-token", "other-token"));

        let text = text(&edge, Path::new("edge.toml"));

        assert!(text.contains("password  as in edge.toml"), "{text}");
        assert!(text.contains("Bearer TOKEN"), "{text}");
        assert!(!text.contains("another") && !text.contains("other-token"), "{text}");
    }
}
