//! The thread for what is nobody's hot path: the control plane's server, and a new routing key every day.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{future, io};

use dataplane::query::SaveVerdict;
use dataplane::return_path::RoutingKeys;
use tokio::sync::{oneshot, watch};
use tracing::{error, info, warn};

use super::controls::Controls;
use super::handoff::{Certain, Ring};
use super::keys;
use crate::backend::store::Secrets;

/// How often the age of the routing key is looked at.
const KEYS_LOOK_EVERY: Duration = Duration::from_secs(600);

/// The running thread.
pub(super) struct House {
    close: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl House {
    /// Serves `control` and keeps the `keys` young.
    pub(super) fn open(
        control: Option<TcpListener>,
        controls: Controls,
        keys: watch::Sender<Arc<RoutingKeys>>,
        secrets: Secrets,
        rings: Arc<[Arc<Ring>]>,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (close, closed) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("house".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = renew_keys(&controls, &keys, secrets, &rings) => {}
                    () = serve_control(control, controls.clone()) => {}
                    // An error means that the edge itself is gone.
                    _ = closed => {}
                }
            });
        })?;
        Ok(Self { close, thread })
    }

    /// Ends it at once.
    pub(super) fn close(self) {
        // It fails only if the thread has ended.
        let _ = self.close.send(());
        if self.thread.join().is_err() {
            error!("the control plane's thread panicked");
        }
    }
}

async fn serve_control(control: Option<TcpListener>, controls: Controls) {
    if let Some(listener) = control
        && let Err(error) = crate::control::serve(listener, controls).await
    {
        error!(reason = %error, "the control API ended");
    }
    future::pending().await
}

async fn renew_keys(
    controls: &Controls,
    keys: &watch::Sender<Arc<RoutingKeys>>,
    mut secrets: Secrets,
    rings: &[Arc<Ring>],
) {
    loop {
        tokio::time::sleep(KEYS_LOOK_EVERY).await;
        let call_max = controls.settings.borrow().timers.call_max;
        let mut renewed = secrets.clone();
        if !keys::renew(&mut renewed, controls.clock.now().wall, call_max) {
            continue;
        }
        // First the store: what a key sealed must be readable after a restart.
        let (done, saved) = oneshot::channel();
        controls.store.put_secrets(renewed.clone(), move |verdict| {
            let _ = done.send(verdict);
        });
        if saved.await != Ok(SaveVerdict::Durable) {
            warn!("the store does not keep the new routing key: the old one seals on");
            continue;
        }
        secrets = renewed;
        let fresh = Arc::new(keys::routing_keys(&secrets));
        keys.send_replace(Arc::clone(&fresh));
        for ring in rings {
            ring.deliver(Certain::Keyed(Arc::clone(&fresh)));
        }
        info!("a new routing key seals");
    }
}
