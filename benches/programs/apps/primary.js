// Node's own cluster module as people write it: another worker for one that dies, and on SIGHUP a reload, one
// worker after the other, in which the new one listens before the old one is told to go.
const cluster = require('node:cluster');
const { once } = require('node:events');
const path = require('node:path');

cluster.schedulingPolicy = cluster.SCHED_NONE;
cluster.setupPrimary({ exec: path.join(__dirname, 'app.js') });

cluster.on('exit', (worker) => {
  if (!worker.exitedAfterDisconnect) cluster.fork();
});

async function reload() {
  for (const old of Object.values(cluster.workers)) {
    await once(cluster.fork(), 'listening');
    const gone = once(old, 'exit');
    const deadline = setTimeout(() => old.process.kill('SIGKILL'), 30_000);
    old.disconnect();
    await gone;
    clearTimeout(deadline);
  }
}

process.on('SIGHUP', reload);
process.on('SIGTERM', () => process.exit());
for (let count = 0; count < Number(process.env.WORKERS || 2); count += 1) cluster.fork();
