#!/usr/bin/env python
"""A record processor on amazon_kclpy that writes down what it is given: TRACE names the file. It checkpoints each batch."""

import json
import os

from amazon_kclpy import kcl
from amazon_kclpy.v3 import processor


class RecordProcessor(processor.RecordProcessorBase):
    def initialize(self, given):
        self.shard = given.shard_id
        self.trace = open(os.environ["TRACE"], "a", buffering=1)
        self.say("initialize", sequence=given.sequence_number)

    def say(self, event, **more):
        self.trace.write(json.dumps({"event": event, "shard": self.shard, "pid": os.getpid(), **more}) + "\n")

    def process_records(self, given):
        for record in given.records:
            # The user's code may print.
            print("a record", end="")
            self.say("record", key=record.partition_key, sequence=record.sequence_number, length=len(record.binary_data))
        given.checkpointer.checkpoint()
        self.say("checkpoint")

    def lease_lost(self, given):
        self.say("lease_lost")

    def shard_ended(self, given):
        given.checkpointer.checkpoint()
        self.say("shard_ended")

    def shutdown_requested(self, given):
        given.checkpointer.checkpoint()
        self.say("shutdown_requested")


if __name__ == "__main__":
    kcl.KCLProcess(RecordProcessor()).run()
