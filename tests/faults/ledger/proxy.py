"""A TCP proxy before the database that can lose the answer to a COMMIT, so that nobody knows what was stored."""

import asyncio
import threading
from typing import Final

_CHUNK: Final = 65_536
_START_S: Final = 10.0


class CuttingProxy:
    """Forward connections to a server on loopback; on demand cut one right after it sent a COMMIT.

    Parameters
    ----------
    port : int
        Where the server listens on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._armed = threading.Event()
        self.cuts = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()
        if not self._ready.wait(_START_S):
            raise TimeoutError(f"the proxy doesn't listen after {_START_S:g} s")

    def arm(self) -> None:
        """Cut the next connection that commits."""
        self._armed.set()

    def close(self) -> None:
        """Stop forwarding."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            writer.close()
            return
        answers = asyncio.ensure_future(_pipe(far_reader, writer))
        try:
            while data := await reader.read(_CHUNK):
                cut = self._armed.is_set() and b"COMMIT" in data
                if cut:
                    self._armed.clear()
                    answers.cancel()  # the answer must not get through
                far_writer.write(data)
                await far_writer.drain()
                if cut:
                    self.cuts += 1
                    await asyncio.sleep(0.2)  # the server takes the COMMIT before its client is gone
                    break
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            answers.cancel()
            writer.close()
            far_writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    except (ConnectionError, asyncio.CancelledError):
        pass
    finally:
        writer.close()
