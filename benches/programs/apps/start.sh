#!/bin/sh
# A start script as people write it: it prepares the environment, then becomes the program.
set -eu
cd "$(dirname "$0")"
export NODE_ENV=production
exec node app.js
