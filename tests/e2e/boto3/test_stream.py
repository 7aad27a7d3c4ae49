"""The embedded stream as boto3 and the AWS CLI see it.

`tests/e2e/run` starts the stream and names its endpoint in KCL_E2E_ENDPOINT, and the program `consume` in KCL_E2E_CONSUME.
"""

import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
import uuid

import boto3
import botocore.config
import botocore.exceptions

ENDPOINT = os.environ["KCL_E2E_ENDPOINT"]
HASH_KEYS = 2**128


def client():
    return boto3.client(
        "kinesis",
        endpoint_url=ENDPOINT,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )


class StreamTest(unittest.TestCase):
    """Each test has a stream of its own."""

    def setUp(self):
        self.kinesis = client()
        self.name = f"boto3-{uuid.uuid4()}"

    def create(self, shards):
        self.kinesis.create_stream(StreamName=self.name, ShardCount=shards)
        self.wait_until_active()

    def wait_until_active(self):
        deadline = time.monotonic() + 30
        while True:
            summary = self.kinesis.describe_stream_summary(StreamName=self.name)["StreamDescriptionSummary"]
            if summary["StreamStatus"] == "ACTIVE":
                return summary
            self.assertLess(time.monotonic(), deadline, summary)
            time.sleep(0.02)

    def shards(self, **how):
        return self.kinesis.list_shards(StreamName=self.name, **how)["Shards"]

    def open_shards(self):
        return [shard for shard in self.shards() if "EndingSequenceNumber" not in shard["SequenceNumberRange"]]

    def put(self, data, key="key", **how):
        return self.kinesis.put_record(StreamName=self.name, PartitionKey=key, Data=data, **how)

    def iterator(self, shard, kind="TRIM_HORIZON", **how):
        answer = self.kinesis.get_shard_iterator(
            StreamName=self.name, ShardId=shard, ShardIteratorType=kind, **how
        )
        return answer["ShardIterator"]

    def read_to_tip(self, iterator, limit=10_000):
        """All records up to the tip or the end of the shard, and the last page."""
        records = []
        for _ in range(1_000):
            page = self.kinesis.get_records(ShardIterator=iterator, Limit=limit)
            records += page["Records"]
            iterator = page.get("NextShardIterator")
            if iterator is None or (not page["Records"] and page["MillisBehindLatest"] == 0):
                return records, page
        self.fail("the tip was not reached in 1,000 pages")

    def payloads(self, shard, kind="TRIM_HORIZON", **how):
        records, _ = self.read_to_tip(self.iterator(shard, kind, **how))
        return [record["Data"] for record in records]

    def refused(self, code):
        return self.assertRaisesRegex(botocore.exceptions.ClientError, code)


class Streams(StreamTest):
    def test_a_stream_is_made_described_listed_and_deleted(self):
        self.create(3)
        summary = self.wait_until_active()
        self.assertEqual(summary["OpenShardCount"], 3)
        self.assertEqual(summary["RetentionPeriodHours"], 24)
        self.assertTrue(summary["StreamARN"].endswith(f":stream/{self.name}"), summary["StreamARN"])
        age = datetime.datetime.now(datetime.timezone.utc) - summary["StreamCreationTimestamp"]
        self.assertLess(abs(age), datetime.timedelta(minutes=5))
        pages = self.kinesis.get_paginator("list_streams").paginate()
        self.assertIn(self.name, [name for page in pages for name in page["StreamNames"]])
        self.kinesis.delete_stream(StreamName=self.name)
        self.kinesis.get_waiter("stream_not_exists").wait(
            StreamName=self.name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )
        with self.refused("ResourceNotFoundException"):
            self.kinesis.list_shards(StreamName=self.name)

    def test_its_own_waiter_sees_a_stream_become_active(self):
        self.kinesis.create_stream(StreamName=self.name, ShardCount=1)
        self.kinesis.get_waiter("stream_exists").wait(
            StreamName=self.name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )

    def test_a_stream_may_be_named_by_its_arn_alone(self):
        self.create(1)
        arn = self.wait_until_active()["StreamARN"]
        put = self.kinesis.put_record(StreamARN=arn, PartitionKey="key", Data=b"by arn")
        many = self.kinesis.put_records(StreamARN=arn, Records=[{"PartitionKey": "key", "Data": b"many"}])
        self.assertEqual(many["FailedRecordCount"], 0)
        shards = self.kinesis.list_shards(StreamARN=arn)["Shards"]
        self.assertEqual([shard["ShardId"] for shard in shards], [put["ShardId"]])
        iterator = self.kinesis.get_shard_iterator(
            StreamARN=arn, ShardId=put["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        page = self.kinesis.get_records(StreamARN=arn, ShardIterator=iterator)
        self.assertEqual([record["Data"] for record in page["Records"]], [b"by arn", b"many"])
        described = self.kinesis.describe_stream(StreamARN=arn)["StreamDescription"]
        self.assertEqual(described["StreamName"], self.name)


class Listing(StreamTest):
    def test_a_listing_goes_on_with_its_token_alone(self):
        self.create(7)
        answer = self.kinesis.list_shards(StreamName=self.name, MaxResults=3)
        pages = [answer["Shards"]]
        while "NextToken" in answer:
            answer = self.kinesis.list_shards(NextToken=answer["NextToken"], MaxResults=3)
            pages.append(answer["Shards"])
        self.assertEqual([len(page) for page in pages], [3, 3, 1])
        ids = [shard["ShardId"] for page in pages for shard in page]
        self.assertEqual(len(set(ids)), 7)
        self.assertEqual(ids, [shard["ShardId"] for shard in self.shards()])

    def test_filters_choose_by_the_life_of_a_shard(self):
        self.create(1)
        parent = self.shards()[0]["ShardId"]
        self.put(b"keeps the parent listed")
        before = datetime.datetime.now(datetime.timezone.utc)
        # The service's times are in milliseconds.
        time.sleep(0.05)
        self.kinesis.split_shard(
            StreamName=self.name, ShardToSplit=parent, NewStartingHashKey=str(HASH_KEYS // 2)
        )
        self.wait_until_active()
        children = {shard["ShardId"] for shard in self.open_shards()}
        self.assertEqual(len(children), 2)

        def shown(**given):
            return {shard["ShardId"] for shard in self.shards(ShardFilter=given)}

        self.assertEqual(shown(Type="AT_LATEST"), children)
        self.assertEqual(shown(Type="AT_TRIM_HORIZON"), {parent})
        self.assertEqual(shown(Type="FROM_TRIM_HORIZON"), children | {parent})
        self.assertEqual(shown(Type="AT_TIMESTAMP", Timestamp=before), {parent})
        self.assertEqual(shown(Type="FROM_TIMESTAMP", Timestamp=before), children | {parent})
        self.assertEqual(shown(Type="AFTER_SHARD_ID", ShardId=parent), children)
        with self.refused("InvalidArgumentException"):
            self.shards(ShardFilter={"Type": "AT_TIMESTAMP"})


class Reading(StreamTest):
    def test_what_was_put_comes_back_in_order(self):
        self.create(2)
        put = {}
        for number in range(50):
            answer = self.put(f"record {number}".encode(), key=f"key-{number % 7}")
            put.setdefault(answer["ShardId"], []).append((answer["SequenceNumber"], f"record {number}".encode()))
        for shard, expected in put.items():
            records, _ = self.read_to_tip(self.iterator(shard))
            self.assertEqual([(record["SequenceNumber"], record["Data"]) for record in records], expected)
            arrivals = [record["ApproximateArrivalTimestamp"] for record in records]
            self.assertEqual(arrivals, sorted(arrivals))
            age = datetime.datetime.now(datetime.timezone.utc) - arrivals[0]
            self.assertLess(abs(age), datetime.timedelta(minutes=5))

    def test_many_records_are_put_at_once_and_bytes_come_back_as_bytes(self):
        self.create(1)
        payloads = [bytes([number % 256]) * (number + 1) for number in range(500)]
        records = [{"PartitionKey": f"key-{number}", "Data": data} for number, data in enumerate(payloads)]
        answer = self.kinesis.put_records(StreamName=self.name, Records=records)
        self.assertEqual(answer["FailedRecordCount"], 0)
        self.assertEqual(self.payloads(self.shards()[0]["ShardId"]), payloads)

    def test_an_explicit_hash_key_chooses_the_shard(self):
        self.create(4)
        for shard in self.shards():
            key = shard["HashKeyRange"]["StartingHashKey"]
            self.assertEqual(self.put(b"here", ExplicitHashKey=key)["ShardId"], shard["ShardId"])

    def test_every_start_finds_its_record(self):
        self.create(1)
        shard = self.shards()[0]["ShardId"]
        numbers = [self.put(data)["SequenceNumber"] for data in (b"0", b"1", b"2")]
        latest = self.iterator(shard, "LATEST")
        self.put(b"3")
        self.assertEqual(self.payloads(shard), [b"0", b"1", b"2", b"3"])
        at = self.payloads(shard, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1])
        self.assertEqual(at, [b"1", b"2", b"3"])
        after = self.payloads(shard, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1])
        self.assertEqual(after, [b"2", b"3"])
        records, _ = self.read_to_tip(latest)
        self.assertEqual([record["Data"] for record in records], [b"3"])

    def test_a_time_finds_the_first_record_that_arrived_then_or_later(self):
        self.create(1)
        shard = self.shards()[0]["ShardId"]
        for data in (b"0", b"1", b"2"):
            self.put(data)
            # Apart by more than a millisecond: that is how exact the times are.
            time.sleep(0.02)
        records, _ = self.read_to_tip(self.iterator(shard))
        for number, record in enumerate(records):
            found = self.payloads(shard, "AT_TIMESTAMP", Timestamp=record["ApproximateArrivalTimestamp"])
            self.assertEqual(found, [b"0", b"1", b"2"][number:])
        behind = records[-1]["ApproximateArrivalTimestamp"] + datetime.timedelta(milliseconds=1)
        self.assertEqual(self.payloads(shard, "AT_TIMESTAMP", Timestamp=behind), [])

    def test_millis_behind_latest_is_the_age_of_what_was_read_and_zero_at_the_tip(self):
        self.create(1)
        shard = self.shards()[0]["ShardId"]
        for data in (b"0", b"1", b"2"):
            self.put(data)
        time.sleep(0.3)
        first = self.kinesis.get_records(ShardIterator=self.iterator(shard), Limit=1)
        self.assertGreaterEqual(first["MillisBehindLatest"], 300)
        self.assertLess(first["MillisBehindLatest"], 60_000)
        rest = self.kinesis.get_records(ShardIterator=first["NextShardIterator"], Limit=10)
        self.assertEqual([record["Data"] for record in rest["Records"]], [b"1", b"2"])
        self.assertEqual(rest["MillisBehindLatest"], 0)

    def test_what_is_not_there_is_refused(self):
        self.create(1)
        with self.refused("ResourceNotFoundException"):
            self.iterator("shardId-000000000099")
        with self.refused("InvalidArgumentException|ValidationException"):
            self.kinesis.get_records(ShardIterator="no iterator")


class Resharding(StreamTest):
    def test_a_split_ends_the_parent_with_its_children(self):
        self.create(1)
        parent = self.shards()[0]["ShardId"]
        self.put(b"before")
        self.kinesis.split_shard(
            StreamName=self.name, ShardToSplit=parent, NewStartingHashKey=str(HASH_KEYS // 2)
        )
        self.wait_until_active()
        self.put(b"after")
        records, end = self.read_to_tip(self.iterator(parent))
        self.assertEqual([record["Data"] for record in records], [b"before"])
        self.assertNotIn("NextShardIterator", end)
        children = {child["ShardId"]: child for child in end["ChildShards"]}
        self.assertEqual(set(children), {shard["ShardId"] for shard in self.open_shards()})
        for shard in self.open_shards():
            self.assertEqual(shard["ParentShardId"], parent)
            self.assertEqual(children[shard["ShardId"]]["ParentShards"], [parent])
            self.assertEqual(children[shard["ShardId"]]["HashKeyRange"], shard["HashKeyRange"])
        after = [data for child in children for data in self.payloads(child)]
        self.assertEqual(after, [b"after"])

    def test_a_merge_ends_both_parents_with_one_child(self):
        self.create(2)
        left, right = (shard["ShardId"] for shard in self.shards())
        for shard in self.shards():
            self.put(b"before", ExplicitHashKey=shard["HashKeyRange"]["StartingHashKey"])
        self.kinesis.merge_shards(StreamName=self.name, ShardToMerge=left, AdjacentShardToMerge=right)
        self.wait_until_active()
        self.put(b"after")
        (child,) = self.open_shards()
        self.assertEqual({child["ParentShardId"], child["AdjacentParentShardId"]}, {left, right})
        for parent in (left, right):
            records, end = self.read_to_tip(self.iterator(parent))
            self.assertEqual([record["Data"] for record in records], [b"before"])
            self.assertNotIn("NextShardIterator", end)
            (named,) = end["ChildShards"]
            self.assertEqual(named["ShardId"], child["ShardId"])
            self.assertEqual(set(named["ParentShards"]), {left, right})
        self.assertEqual(self.payloads(child["ShardId"]), [b"after"])

    def test_update_shard_count_gives_every_new_shard_its_parents(self):
        self.create(2)
        old = {shard["ShardId"] for shard in self.shards()}
        self.kinesis.update_shard_count(
            StreamName=self.name, TargetShardCount=4, ScalingType="UNIFORM_SCALING"
        )
        self.wait_until_active()
        open_now = self.open_shards()
        self.assertEqual(len(open_now), 4)
        self.assertEqual({shard["ParentShardId"] for shard in open_now}, old)


class CommandLine(StreamTest):
    """What the README says, with its commands."""

    GIVEN = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}

    def run_command(self, command, data=None):
        done = subprocess.run(
            command, input=data, env={**os.environ, **self.GIVEN}, stdout=subprocess.PIPE, check=True, timeout=60
        )
        return done.stdout

    def put_by_command(self, data):
        command = [sys.executable, "-m", "awscli", "kinesis", "put-record", "--endpoint-url", ENDPOINT]
        command += ["--stream-name", self.name, "--partition-key", "customer-7", "--data", "fileb:///dev/stdin"]
        self.assertIn("SequenceNumber", json.loads(self.run_command(command, data)))

    def test_a_record_that_the_command_line_put_is_read_as_it_is(self):
        self.create(1)
        self.put_by_command(b"an order\n")
        self.assertEqual(self.payloads(self.shards()[0]["ShardId"]), [b"an order\n"])

    def test_a_consumer_reads_what_the_command_line_put_and_goes_on_where_it_stopped(self):
        self.create(2)
        with tempfile.TemporaryDirectory() as folder:
            command = [os.environ["KCL_E2E_CONSUME"], "--endpoint", ENDPOINT, "--stream", self.name]
            command += ["--application", "demo", "--from", "trim-horizon"]
            command += ["--lease-table", f"sqlite:{folder}/demo.sqlite", "--idle-exit", "2s"]
            for data in (b"an order\n", b"another order\n"):
                self.put_by_command(data)
                summary = json.loads(self.run_command(command).splitlines()[-1])
                self.assertEqual((summary["records"], summary["bytes"]), (1, len(data)), summary)


def main():
    result = unittest.main(verbosity=2, exit=False).result
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    passed = result.testsRun - failed - len(result.skipped)
    print(f"boto3: {passed} passed, {failed} failed", flush=True)
    # A test that was skipped has shown nothing.
    return 1 if failed or result.skipped or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
