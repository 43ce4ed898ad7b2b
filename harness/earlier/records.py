"""The name under which scripts and notebooks know the store."""

from harness.store.records import Store as Store
