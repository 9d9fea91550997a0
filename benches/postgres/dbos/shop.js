// The shop's order as a workflow of DBOS, behind node:http: what `cargo bench --bench postgres` compares with.
// PORT, WORKERS (processes), CONNECTIONS (of each process to each database), SYSTEM_URL (DBOS's own database), SHOP_URL
// (tables.sql), and READY: a file that each process adds a line to when it serves.
import cluster from 'node:cluster';
import fs from 'node:fs';
import http from 'node:http';
import { randomUUID } from 'node:crypto';
import { DBOS } from '@dbos-inc/dbos-sdk';
import pg from 'pg';

const workers = Number(process.env.WORKERS);
const connections = Number(process.env.CONNECTIONS);
const pool = new pg.Pool({ connectionString: process.env.SHOP_URL, max: connections });

// A step that is done again does nothing new (tables.sql), so that it need not be a transaction of a data source,
// which would write a row of its own for that and take four more round trips.
async function call(name, text, values) {
  return DBOS.runStep(async () => (await pool.query({ name, text, values })).rows[0], { name });
}

const place = DBOS.registerWorkflow(
  async (order) => {
    const id = DBOS.workflowID;
    const reserve = 'SELECT status, amount FROM reserve($1, $2, $3, $4)';
    const held = await call('reserve', reserve, [id, order.customer, order.skus, order.pieces]);
    if (held.status === 'out of stock') {
      return { id, status: held.status };
    }
    const card = await call('charge', 'SELECT charge($1, $2, $3) AS outcome', [id, order.method, held.amount]);
    const status = card.outcome === 'succeeded' ? 'confirmed' : 'declined';
    await call('finish', 'SELECT finish($1, $2)', [id, status]);
    return { id, status, amount: Number(held.amount) };
  },
  { name: 'place' },
);

const codes = { confirmed: 201, declined: 402, 'out of stock': 409 };

function read(request) {
  return new Promise((resolve, reject) => {
    let text = '';
    request.setEncoding('utf8');
    request.on('data', (part) => (text += part));
    request.on('end', () => resolve(text));
    request.on('error', reject);
  });
}

function checked(text) {
  const { customer_id: customer, items, payment } = JSON.parse(text);
  const good = (item) => typeof item.sku === 'string' && Number.isInteger(item.quantity) && item.quantity > 0;
  if (typeof customer !== 'string' || typeof payment?.method !== 'string' || !items?.length || !items.every(good)) {
    throw new Error('expected customer_id, items of sku and quantity, and payment.method');
  }
  const skus = items.map((item) => item.sku);
  if (new Set(skus).size !== skus.length) {
    throw new Error('an article is there twice');
  }
  return { customer, method: payment.method, skus, pieces: items.map((item) => item.quantity) };
}

function answer(response, status, body) {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

async function serve(request, response) {
  if (request.method !== 'POST' || request.url !== '/orders') {
    return answer(response, 404, {});
  }
  let order;
  try {
    order = checked(await read(request));
  } catch (error) {
    return answer(response, 400, { error: error.message });
  }
  // The workflow's id makes a request that is sent again the same order.
  const workflowID = request.headers['idempotency-key'] ?? randomUUID();
  try {
    const handle = await DBOS.startWorkflow(place, { workflowID })(order);
    const placed = await handle.getResult();
    return answer(response, codes[placed.status], placed);
  } catch (error) {
    console.error(error);
    return answer(response, 500, { error: error.message });
  }
}

async function work() {
  DBOS.setConfig({
    name: 'shop',
    systemDatabaseUrl: process.env.SYSTEM_URL,
    systemDatabasePoolSize: connections,
    // Each process takes up again what it had begun itself.
    executorID: `worker-${process.env.WORKER ?? 0}`,
    logLevel: 'error',
  });
  await DBOS.launch();
  http.createServer(serve).listen(Number(process.env.PORT), '127.0.0.1', () => {
    fs.appendFileSync(process.env.READY, `${process.pid}\n`);
  });
}

if (workers > 1 && cluster.isPrimary) {
  // One after the other: the first one makes DBOS's tables.
  const start = (number) => {
    const worker = cluster.fork({ WORKER: number });
    worker.once('listening', () => number + 1 < workers && start(number + 1));
    worker.once('exit', () => process.exit(1));
  };
  process.once('SIGTERM', () => process.exit(0));
  start(0);
} else {
  await work();
}
