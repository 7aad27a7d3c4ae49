#!/usr/bin/env python
"""A record processor on amazon_kclpy that does nothing but count: TRACE names the file, which gets a line a batch."""

import os
import time

from amazon_kclpy import kcl
from amazon_kclpy.v3 import processor


class RecordProcessor(processor.RecordProcessorBase):
    def initialize(self, given):
        self.trace = open(os.environ["TRACE"], "a", buffering=1)

    def process_records(self, given):
        self.trace.write(f"{time.time()} {len(given.records)}\n")
        given.checkpointer.checkpoint()

    def lease_lost(self, given):
        pass

    def shard_ended(self, given):
        given.checkpointer.checkpoint()

    def shutdown_requested(self, given):
        given.checkpointer.checkpoint()


if __name__ == "__main__":
    kcl.KCLProcess(RecordProcessor()).run()
