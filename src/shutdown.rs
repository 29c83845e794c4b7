//! Ending: told by a signal, or because an actor fails more often than restarting can cure.

use anyhow::bail;
use tokio::signal::unix::{SignalKind, signal};

use crate::service::{Ended, Service};

/// Serves until a signal says stop, then drains; a second signal ends the process at once.
pub(crate) async fn serve_until_told(service: Service) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut told = async || {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    };
    let exhausted = service.exhausted();
    let failing = tokio::select! {
        signal = told() => {
            tracing::info!(signal, "draining");
            false
        }
        () = exhausted.cancelled() => {
            tracing::error!("draining: an actor fails again and again");
            true
        }
    };
    let ended = tokio::select! {
        ended = service.drain() => ended,
        signal = told() => bail!("{signal} while draining: unfinished runs are taken up at the next start"),
    };
    report(ended);
    if failing { bail!("an actor failed again and again") } else { Ok(()) }
}

fn report(ended: Ended) {
    match ended.handed_back {
        Some(0) => tracing::info!("stopped; nothing was left unfinished"),
        Some(runs) => tracing::info!(runs, "stopped; unfinished runs were handed back"),
        None => tracing::warn!("stopped; unfinished runs, if any, are taken over when their lease ends"),
    }
}
