//! What operators do every day, under load: reload, scale, upgrade. Nothing may fail.

use std::time::Duration;

use crate::client::Kind;
use crate::stage::{Effort, Scene};
use crate::verdict::Verdict;

/// A worker that gets no CPU for seconds is not to be killed as hung here: hangs have scenes of their own.
fn patient(effort: &Effort) -> Effort {
    Effort {
        heartbeat_timeout: Duration::from_secs(30),
        ..effort.clone()
    }
}

/// The same generation again and again.
pub(crate) fn reloads(effort: &Effort, kind: Kind) -> Verdict {
    let scene = Scene::open(&patient(effort), kind);
    for _ in 0..effort.reloads {
        scene.done(&["reload"]);
        scene.rest();
    }
    let mut verdict = scene.close(&format!("reload x {}", effort.reloads));
    if effort.strict {
        verdict.expect_p99_within(2.0);
    }
    verdict
}

/// Another program becomes the master in place: the same pid, the same workers.
pub(crate) fn upgrades(effort: &Effort, kind: Kind) -> Verdict {
    let scene = Scene::open(&patient(effort), kind);
    let workers = scene.cluster.workers();
    for _ in 0..effort.upgrades {
        scene.done(&["upgrade"]);
        scene.rest();
    }
    let kept = scene.cluster.workers() == workers;
    let mut verdict = scene.close(&format!("upgrade x {}", effort.upgrades));
    verdict.expect(kept, "every worker was kept".to_owned());
    verdict
}

/// Up and down between one worker and four.
pub(crate) fn scales(effort: &Effort, kind: Kind) -> Verdict {
    let scene = Scene::open(&patient(effort), kind);
    for to in ["4", "1", "4", "2", "3", "1"].iter().cycle().take(effort.scales) {
        scene.done(&["scale", to]);
        scene.rest();
    }
    let name = format!("scale x {} (4, 1, 4 ...)", effort.scales);
    scene.close(&name)
}
