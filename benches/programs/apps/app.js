// A server as in Node's own documentation: it knows nothing of who runs it. `/spin` never comes back.
const http = require('node:http');

http.createServer((request, response) => {
  if (request.url === '/spin') for (;;);
  response.setHeader('Content-Type', 'text/plain');
  response.end('hello\n');
}).listen(process.env.PORT || 3000, '127.0.0.1');
