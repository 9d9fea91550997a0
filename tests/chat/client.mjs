// A WebSocket client that is not ours: the one of Node. It says what it meets, a line for each thing.
const socket = new WebSocket(`ws://${process.argv[2]}/ws`);
socket.onopen = () => socket.send("from Node");
socket.onmessage = event => console.log(`heard ${event.data}`);
socket.onclose = event => console.log(`closed ${event.code}`);
