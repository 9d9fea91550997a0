//! Keep-alive connections spread over the workers as they come.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{Cluster, TIMEOUT};
use crate::stage::{Effort, ask};
use crate::verdict::Verdict;

const CONNECTIONS: u32 = 1_000;
const WITHIN: Duration = Duration::from_secs(3);
const BAR: f64 = 1.06;
/// One trial alone may be unlucky; hundreds of connections by the kernel's hash still scatter more.
const BAR_OF_ONE: f64 = 1.15;

/// As many trials may be spoiled by a worker that got no CPU time.
const SPOILED: usize = 20;

/// 1,000 connections over 3 s on 4 workers: by how much the fullest exceeds the mean, in the median of some
/// trials.
pub(crate) fn spread(effort: &Effort, trials: usize) -> Verdict {
    let cluster = effort.plan().replace("workers = 2", "workers = 4").start();
    let mut found = Vec::new();
    for tried in 1.. {
        let mark = cluster.mark();
        let fullest = trial(&cluster);
        // A worker that is late is out of rotation: its share goes to the others, as it should.
        if cluster.count_from(mark, "worker late") == 0 {
            found.push(fullest);
        }
        if found.len() == trials {
            break;
        }
        assert!(tried < trials + SPOILED, "a worker is late in every trial");
    }
    found.sort_by(f64::total_cmp);
    let median = found[found.len() / 2];
    let worst = found[found.len() - 1];
    let bar = if trials == 1 { BAR_OF_ONE } else { BAR };
    let mut verdict = Verdict::bare(&format!("balance, {trials} x 1,000 on 4 workers"));
    verdict.expect(
        median <= bar,
        format!("fullest over mean {median:.3} in the median (bar {bar}), worst {worst:.3}"),
    );
    assert!(cluster.stop().success(), "the cluster did not stop well");
    verdict
}

fn trial(cluster: &Cluster) -> f64 {
    wait_for_connections(cluster, 0);
    let address = cluster.address();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let _open = runtime.block_on(open(address));
    let held = wait_for_connections(cluster, CONNECTIONS);
    let most = f64::from(held.iter().copied().max().unwrap_or(0));
    most * held.len() as f64 / f64::from(CONNECTIONS)
}

/// Each sends one request, as whoever connects does, and stays.
async fn open(address: SocketAddr) -> Vec<TcpStream> {
    let began = Instant::now();
    let mut opening = tokio::task::JoinSet::new();
    for number in 0..CONNECTIONS {
        tokio::time::sleep_until((began + WITHIN * number / CONNECTIONS).into()).await;
        opening.spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("connected");
            stream
                .write_all(b"GET /healthz/liveness HTTP/1.1\r\nHost: chaos\r\n\r\n")
                .await
                .expect("sent");
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.expect("answered");
            stream
        });
    }
    opening.join_all().await
}

/// How many each worker holds, once they are so many.
fn wait_for_connections(cluster: &Cluster, many: u32) -> Vec<u32> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let (_, status) = ask(&cluster.data(), &["status"]);
        let slots = status["slots"].as_array().expect("slots");
        let held: Vec<u32> = slots
            .iter()
            .filter_map(|slot| u32::try_from(slot["worker"]["connections"].as_u64()?).ok())
            .collect();
        if held.iter().sum::<u32>() == many {
            return held;
        }
        assert!(Instant::now() < deadline, "{many} connections expected: {held:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
