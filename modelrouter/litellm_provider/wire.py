"""The HTTP client that LiteLLM is given."""

from __future__ import annotations

import http.cookiejar
import ssl
from typing import Any

import httpx

from modelrouter.errors import ErrorKind
from modelrouter.litellm_provider.exchange import Stopped
from modelrouter.litellm_provider.faults import Fault
from modelrouter.litellm_provider.quiet import CURRENT

__all__ = ["GuardedClient"]


class GuardedClient(httpx.AsyncClient):
    """An HTTP client that sends only what the current exchange admits.

    Args:
        proxies: Whether HTTPS_PROXY and its kin may be used: normal corporate practice on
            the way to a vendor, never on the way to an in-house endpoint.
        context: TLS settings, shared because loading certificates takes 20 ms.
    """

    def __init__(self, *, proxies: bool, context: ssl.SSLContext) -> None:
        nowhere = http.cookiejar.DefaultCookiePolicy(allowed_domains=[])
        super().__init__(
            trust_env=proxies,
            verify=context,
            follow_redirects=False,
            cookies=http.cookiejar.CookieJar(policy=nowhere),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
        )

    async def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = False,
        **_: Any,  # noqa: ANN401 - the base's redirects and credentials, which are not ours
    ) -> httpx.Response:
        """Send the one request of the current exchange.

        Raises:
            Stopped: Outside of a call, or for any reason the exchange then knows.
        """
        exchange = CURRENT.get()
        if exchange is None:
            raise Stopped
        asked = request.headers.copy()
        exchange.admit(request)
        response = await self._transmit(request)
        if isinstance(response, Fault):
            raise exchange.stop(response)
        request.headers = asked  # openai's client looks for its own marks there
        received = await exchange.receive(response)
        if not stream:
            await received.aread()
        return received

    async def _transmit(self, request: httpx.Request) -> httpx.Response | Fault:
        """Send a request; return why there is no response, billed if it may have arrived."""
        try:
            return await super().send(request, stream=True, auth=None, follow_redirects=False)
        except httpx.ConnectTimeout:
            return Fault(kind=ErrorKind.TIMEOUT)
        except (httpx.ConnectError, httpx.ProxyError, httpx.UnsupportedProtocol):
            return Fault(kind=ErrorKind.UNREACHABLE)
        except httpx.TimeoutException:
            return Fault(kind=ErrorKind.TIMEOUT, billed=True)
        except httpx.HTTPError:
            return Fault(kind=ErrorKind.UNREACHABLE, billed=True)
