// A record processor on aws-kcl that writes down what it is given: TRACE names the file. It checkpoints each batch.
'use strict';

const fs = require('fs');
const kcl = require('aws-kcl');

function recordProcessor() {
  let shard = '-';

  function say(event, more) {
    fs.appendFileSync(process.env.TRACE, JSON.stringify({event, shard, pid: process.pid, ...more}) + '\n');
  }

  // With a sequence number, as its documentation has it; without one, everything.
  function checkpoint(given, sequence, done) {
    given.checkpointer.checkpoint(sequence, (error) => {
      say('checkpoint', {error: error ? String(error) : null});
      done();
    });
  }

  return {
    initialize(given, done) {
      shard = given.shardId;
      say('initialize', {sequence: given.sequenceNumber});
      done();
    },

    processRecords(given, done) {
      for (const record of given.records) {
        console.log('a record');
        say('record', {key: record.partitionKey, sequence: record.sequenceNumber, length: Buffer.from(record.data, 'base64').length});
      }
      if (given.records.length === 0) {
        return done();
      }
      checkpoint(given, given.records[given.records.length - 1].sequenceNumber, done);
    },

    leaseLost(given, done) {
      say('lease_lost');
      done();
    },

    shardEnded(given, done) {
      given.checkpointer.checkpoint((error) => {
        say('shard_ended', {error: error ? String(error) : null});
        done();
      });
    },

    shutdownRequested(given, done) {
      given.checkpointer.checkpoint((error) => {
        say('shutdown_requested', {error: error ? String(error) : null});
        done();
      });
    },
  };
}

kcl(recordProcessor()).run();
