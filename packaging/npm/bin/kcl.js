#!/usr/bin/env node
// Runs the program `kcl` of this platform, and ends as it ends.
'use strict';

const {spawn} = require('child_process');
const os = require('os');

const platform = `kcl-multilang-${process.platform}-${process.arch}`;
let program = process.env.KCL_PROGRAM;
if (!program) {
  try {
    program = require.resolve(`${platform}/kcl`);
  } catch {
    console.error(`kcl: there is no package ${platform}: npm installs it with kcl-multilang unless optional packages are left out. ` +
      'KCL_PROGRAM names a program of your own.');
    process.exit(3);
  }
}

const child = spawn(program, process.argv.slice(2), {stdio: 'inherit'});
// A terminal sends Ctrl-C to both; it is the program that decides when it is over. What is sent to this process alone is passed on.
process.on('SIGINT', () => {});
for (const signal of ['SIGTERM', 'SIGHUP']) {
  process.on(signal, () => child.kill(signal));
}
child.on('error', (error) => {
  console.error(`kcl: cannot run ${program}: ${error.message}`);
  process.exit(3);
});
child.on('exit', (code, signal) => process.exit(signal ? 128 + os.constants.signals[signal] : code));
