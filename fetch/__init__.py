"""Pictures that callers name by their web address, fetched without being led into the operator's own network."""

from fetch.addresses import Network, Networks, is_open, networks
from fetch.dial import Resolver
from fetch.fetcher import Fetcher, FetchSettings

__all__ = ["FetchSettings", "Fetcher", "Network", "Networks", "Resolver", "is_open", "networks"]
