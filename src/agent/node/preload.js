'use strict';
// Loaded by Node before the program (NODE_OPTIONS=--require). All that `cluster run` relies on of Node's
// internals stands here; none of it is documented, and tests/node tries it with the installed version:
//
//   child_process._forkChild(fd, 'json')   makes process.send and process.channel of a descriptor
//   cluster._setupWorker()                 says `online`, and sends each `listen` to the primary
//   cluster._getServer(server, ...)        is how net.Server asks the primary
//   process 'internalMessage'              messages whose `cmd` begins with NODE_
//   process._send, process._disconnect     send a message, close the channel
//   ChildProcess.prototype.spawn(options)  options.stdio, options.envPairs
//   http.Server.prototype.close            calls this.closeIdleConnections()
//   ServerResponse.prototype._storeHeader  writes the head of an answer
//
// In a wrapper (npm, tsx, ...) it passes the descriptors on to the children. In the program it takes the
// channel and removes itself from the environment. In worker threads it does nothing.

(function preload() {
  const env = process.env;
  if (!env.CLUSTER_IPC_FD || !require('worker_threads').isMainThread) return;

  const fs = require('fs');
  const path = require('path');
  const channelFd = Number(env.CLUSTER_IPC_FD);
  const channelInode = env.CLUSTER_IPC_INODE;
  const beatFd = Number(env.CLUSTER_BEAT_FD);
  const beatMs = Number(env.CLUSTER_BEAT_INTERVAL_MS);
  const owner = path.join(__dirname, 'owner');
  // How many requests were answered with 1xx, with 2xx and so on, since that was told last.
  const answered = [0, 0, 0, 0, 0];
  const http2Servers = new WeakSet();
  // The sessions of HTTP/2 that are open. A drain ends them (GOAWAY) when their streams are finished.
  const sessions = new Set();

  if (link(channelFd) !== `socket:[${channelInode}]`) {
    cleanEnvironment();
    warn(`the process that started "${command()}" did not pass descriptor ${channelFd} on, so this program ` +
      'binds its sockets by itself; let cluster run start the program directly, as in `-- node app.js`');
    return;
  }
  if (isWrapper()) {
    passOn();
    return;
  }
  if (!own()) {
    cleanEnvironment();
    warnWhenItListens();
    return;
  }
  const missing = take();
  if (missing) unsupported(missing);

  function link(fd) {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return '';
    }
  }

  function warn(text) {
    try {
      fs.writeSync(2, `cluster: ${text}\n`);
    } catch {
      // Nobody reads it.
    }
  }

  function command() {
    return ['node', ...process.argv.slice(1)].join(' ').slice(0, 200);
  }

  // ---- Wrappers ----

  // By the package in which the script lies, or by the name of the script: bin/npm-cli.js, yarn-4.1.0.cjs.
  function isWrapper() {
    if (!process.argv[1]) return false;
    const wrappers = new Set(['npm', 'npx', 'yarn', '@yarnpkg/cli', '@yarnpkg/cli-dist', 'pnpm', 'corepack',
      'tsx', 'nodemon', 'cross-env', 'dotenv-cli', 'env-cmd', '@dotenvx/dotenvx', 'concurrently',
      'npm-run-all', 'npm-run-all2', 'ts-node-dev', '@nestjs/cli', 'wireit', 'foreman']);
    let script = path.resolve(process.argv[1]);
    try {
      script = fs.realpathSync(script);
    } catch {
      // The name is all there is.
    }
    const parts = script.split(path.sep);
    const at = parts.lastIndexOf('node_modules') + 1;
    const name = parts[at] || '';
    if (at > 0 && wrappers.has(name.startsWith('@') ? `${name}/${parts[at + 1]}` : name)) return true;
    return /^((npm|npx|yarn|yarnpkg|pnpm|pnpx|corepack)(-cli)?(\.[cm]?js)?|yarn-\d[\w.-]*\.[cm]?js)$/
      .test(parts[parts.length - 1]);
  }

  // Node marks all descriptors that it inherits close-on-exec; a child gets those in its list alone.
  function passOn() {
    const prototype = require('child_process').ChildProcess.prototype;
    const spawn = prototype.spawn;
    prototype.spawn = function(options) {
      if (options && Array.isArray(options.envPairs)) {
        options.stdio = entries(options.stdio);
        lend(options, 'CLUSTER_IPC_FD', channelFd);
        lend(options, 'CLUSTER_BEAT_FD', beatFd);
      }
      return Reflect.apply(spawn, this, arguments);
    };
  }

  function entries(stdio) {
    if (Array.isArray(stdio)) return stdio.slice();
    return Array(3).fill(typeof stdio === 'string' ? stdio : 'pipe');
  }

  // The same number in the child if it is free, else the next free one, which the environment then names.
  function lend(options, variable, fd) {
    const { stdio, envPairs } = options;
    const at = stdio.length <= fd || stdio[fd] === 'ignore' ? fd : stdio.length;
    while (stdio.length < at) stdio.push(stdio.length < 3 ? 'pipe' : 'ignore');
    stdio[at] = fd;
    const pair = envPairs.findIndex((text) => text.startsWith(`${variable}=`));
    if (pair >= 0) envPairs[pair] = `${variable}=${at}`;
  }

  // ---- The program ----

  // One process at a time: two readers of one channel would tear its lines. The pid is followed by the time
  // at which the process started, because pids are given out again.
  function own() {
    const me = `${process.pid} ${started(process.pid)}`;
    for (let tries = 0; tries < 2; tries++) {
      if (claim(me)) return true;
      let other = '';
      try {
        other = fs.readFileSync(owner, 'utf8');
      } catch {
        continue;
      }
      const pid = other.split(' ')[0];
      if (other === `${pid} ${started(pid)}`) return false;
      remove(owner);
    }
    return false;
  }

  function warnWhenItListens() {
    const prototype = require('net').Server.prototype;
    const listen = prototype.listen;
    prototype.listen = function() {
      prototype.listen = listen;
      warn(`another process of this program serves already, so "${command()}" binds its sockets by itself; ` +
        'let cluster run start one program');
      return Reflect.apply(listen, this, arguments);
    };
  }

  function claim(me) {
    try {
      fs.writeFileSync(owner, me, { flag: 'wx', mode: 0o600 });
    } catch (error) {
      // Where the file cannot be written, nothing says who else is there.
      return error.code !== 'EEXIST';
    }
    process.once('exit', () => remove(owner));
    return true;
  }

  function remove(file) {
    try {
      fs.unlinkSync(file);
    } catch {
      // Somebody else was faster.
    }
  }

  function started(pid) {
    try {
      const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
      const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return state === 'Z' ? 'gone' : rest[18];
    } catch {
      return 'gone';
    }
  }

  function cleanEnvironment() {
    const options = (env.NODE_OPTIONS || '').replace(env.CLUSTER_NODE_OPTION || '', '').trim();
    if (options) env.NODE_OPTIONS = options;
    else delete env.NODE_OPTIONS;
    for (const name of ['IPC_FD', 'IPC_INODE', 'BEAT_FD', 'BEAT_INTERVAL_MS', 'NODE_OPTION', 'NODE_WORKER_ID']) {
      delete env[`CLUSTER_${name}`];
    }
  }

  // Returns what is missing in this version of Node, or nothing.
  function take() {
    const childProcess = require('child_process');
    if (typeof childProcess._forkChild !== 'function') return 'child_process._forkChild';
    if (process.channel && !forgetChannel()) return 'the handle of process.channel';
    // The cluster module is the worker's if this variable is there when it is loaded first.
    env.NODE_UNIQUE_ID = env.CLUSTER_NODE_WORKER_ID || '1';
    const cluster = require('cluster');
    if (!cluster.isWorker || typeof cluster._setupWorker !== 'function') {
      delete env.NODE_UNIQUE_ID;
      return 'cluster._setupWorker';
    }
    childProcess._forkChild(channelFd, 'json');
    const before = process.listenerCount('message') + process.listenerCount('disconnect');
    if (typeof process._send !== 'function') {
      delete env.NODE_UNIQUE_ID;
      return 'process._send';
    }
    tell({ act: 'taken', pid: process.pid, version: process.version });
    watchDrain();
    cluster._setupWorker();
    delete env.NODE_UNIQUE_ID;
    cleanEnvironment();
    // The cluster module listens to the channel, which would keep a program that only compiles something and
    // never listens from ending by itself. Listeners of the program's own keep it as ever.
    const listeners = process.listenerCount('message') + process.listenerCount('disconnect') - before;
    count('unrefCounted', listeners);
    let counted = false;
    const listening = () => {
      if (!counted) count('refCounted', listeners);
      counted = true;
    };
    tellEnd();
    countAnswers();
    watchServers(cluster, listening);
    tellChildren(childProcess.ChildProcess.prototype);
    beat();
  }

  function count(method, times) {
    const { channel } = process;
    for (; times > 0 && channel && typeof channel[method] === 'function'; times--) channel[method]();
  }

  // A wrapper such as tsx or nodemon has given its child a channel of its own, and a process has but one.
  function forgetChannel() {
    const symbol = Object.getOwnPropertySymbols(process).find((key) => key.description === 'kChannelHandle');
    const handle = symbol && process[symbol];
    if (!handle || typeof handle.close !== 'function') return false;
    handle.onread = () => {};
    handle.close();
    for (const event of ['internalMessage', 'newListener', 'removeListener']) process.removeAllListeners(event);
    return true;
  }

  function unsupported(reason) {
    cleanEnvironment();
    const message = { cmd: 'NODE_CLUSTER_RUN', act: 'unsupported', reason, version: process.version };
    try {
      fs.writeSync(channelFd, `${JSON.stringify(message)}\n`);
    } catch {
      // The agent is gone.
    }
  }

  function tell(message) {
    if (process.channel) process._send({ cmd: 'NODE_CLUSTER_RUN', ...message }, null, { swallowErrors: true });
  }

  // Wrappers hold the descriptor, too, so the agent sees no end of file when the program disconnects.
  function tellEnd() {
    process.once('exit', tellAnswers);
    const disconnect = process._disconnect;
    if (typeof disconnect !== 'function') return;
    process._disconnect = function() {
      tellAnswers();
      tell({ act: 'ended' });
      return Reflect.apply(disconnect, this, arguments);
    };
  }

  // `exclusive` and `reusePort` bypass the primary.
  function watchServers(cluster, listening) {
    const shared = new WeakSet();
    const getServer = cluster._getServer;
    cluster._getServer = function(server) {
      shared.add(server);
      listening();
      return Reflect.apply(getServer, this, arguments);
    };
    const prototype = require('net').Server.prototype;
    const listen = prototype.listen;
    prototype.listen = function() {
      watchHttp2(this);
      this.once('listening', () => {
        if (shared.has(this)) return;
        const address = this.address();
        const text = address && typeof address === 'object' ? `${address.address}:${address.port}` : address;
        tell({ act: 'bound', address: String(text) });
      });
      return Reflect.apply(listen, this, arguments);
    };
  }

  // The module is loaded by who uses it alone. A server does not say which sessions it has.
  function watchHttp2(server) {
    const name = server.constructor && server.constructor.name;
    if (!/^Http2(Secure)?Server$/.test(name) || http2Servers.has(server)) return;
    http2Servers.add(server);
    server.on('session', (session) => {
      sessions.add(session);
      session.once('close', () => sessions.delete(session));
      session.on('stream', (stream) => {
        stream.once('close', () => countAnswer(stream.sentHeaders && stream.sentHeaders[':status']));
      });
      if (drain.closeKept) session.close();
    });
  }

  // A process that starts another one before it listens may be a wrapper that is not in the list above. The
  // agent judges: it knows whether the process listens in the end.
  function tellChildren(prototype) {
    const spawn = prototype.spawn;
    prototype.spawn = function(options) {
      prototype.spawn = spawn;
      const args = options && Array.isArray(options.args) ? options.args : [];
      tell({ act: 'spawned', command: args.join(' ').slice(0, 200) });
      return Reflect.apply(spawn, this, arguments);
    };
  }

  // ---- Beats ----

  // One write to an eventfd at each point of the grid on the monotonic clock that agent and master use, too.
  // What is used is taken now, so that a program that replaces the clock for its tests does not stop it.
  function beat() {
    if (!(beatMs >= 1) || link(beatFd) !== 'anon_inode:[eventfd]') return;
    const one = new Uint8Array(new BigUint64Array([1n]).buffer);
    const { writeSync } = fs;
    const { hrtime } = process;
    const later = setTimeout;
    (function turn() {
      try {
        writeSync(beatFd, one, 0, 8, null);
      } catch (error) {
        if (error.code !== 'EAGAIN') return;
      }
      tellAnswers();
      const [seconds, nanoseconds] = hrtime();
      const past = (seconds * 1e3 + nanoseconds / 1e6) % beatMs;
      later(turn, Math.max(1, Math.ceil(beatMs - past))).unref();
    })();
  }

  function countAnswers() {
    const { subscribe } = require('diagnostics_channel');
    if (typeof subscribe !== 'function') return;
    subscribe('http.server.response.finish', ({ response }) => countAnswer(response.statusCode));
  }

  function countAnswer(status) {
    const at = Math.floor(status / 100) - 1;
    if (at >= 0 && at < answered.length) answered[at]++;
  }

  // With a beat, and at the end, when there were any.
  function tellAnswers() {
    if (answered.every((many) => many === 0)) return;
    tell({ act: 'answered', classes: answered.slice() });
    answered.fill(0);
  }

  // ---- Drain ----

  function watchDrain() {
    process.prependListener('internalMessage', (message) => {
      if (message && message.cmd === 'NODE_CLUSTER_RUN' && message.act === 'drain') {
        drain(Number(message.timeout_ms) || 0);
      }
    });
  }

  // `server.close()` cuts idle connections, and with them a request that is on its way. Instead they are kept
  // for one more request, whose answer closes them. Before a drain, nothing stands in a request's way.
  // Told again, it is only the time that changes.
  function drain(timeoutMs) {
    if (drain.closeKept) {
      setTimeout(drain.closeKept, timeoutMs).unref();
      return;
    }
    const http = require('http');
    const kept = new Set();
    let over = false;
    for (const prototype of [http.Server.prototype, require('https').Server.prototype]) {
      const closeIdle = prototype.closeIdleConnections;
      if (typeof closeIdle !== 'function') continue;
      prototype.closeIdleConnections = function() {
        if (over) Reflect.apply(closeIdle, this, arguments);
        else kept.add(this);
      };
    }
    answerWithClose(http.ServerResponse.prototype);
    require('diagnostics_channel').subscribe('http.server.request.start', ({ response }) => {
      response.shouldKeepAlive = false;
    });
    for (const session of sessions) session.close();
    drain.closeKept = () => {
      over = true;
      for (const server of kept) server.closeIdleConnections();
    };
    setTimeout(drain.closeKept, timeoutMs).unref();
  }

  // Also for requests that had begun before the drain, and for applications that say `keep-alive` themselves.
  function answerWithClose(prototype) {
    const storeHeader = prototype._storeHeader;
    if (typeof storeHeader !== 'function') return;
    prototype._storeHeader = function(firstLine, headers) {
      if (/^HTTP\/1\.[01] 101 /.test(firstLine)) return Reflect.apply(storeHeader, this, arguments);
      this.shouldKeepAlive = false;
      this._removedConnection = false;
      return Reflect.apply(storeHeader, this, [firstLine, withoutConnection(headers)]);
    };
  }

  // Headers come as {name: value}, as {name: [Name, value]}, as [name, value, ...] or as [[name, value], ...].
  function withoutConnection(headers) {
    const isConnection = (name) => typeof name === 'string' && name.toLowerCase() === 'connection';
    if (!headers) return headers;
    if (!Array.isArray(headers)) {
      for (const name of Object.keys(headers)) if (isConnection(name)) delete headers[name];
      return headers;
    }
    if (Array.isArray(headers[0])) return headers.filter((pair) => !isConnection(pair[0]));
    return headers.filter((_, at) => !isConnection(headers[at - at % 2]));
  }
})();
