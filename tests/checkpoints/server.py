"""A server of files on this machine, for tests of downloads."""
import contextlib
import http.server
import threading


class Server:
    """Serves ``files`` (name: bytes) and counts what was asked for.

    Attributes:
        files: what is served; another name is answered with 404.
        promised: name -> Content-Length to send in place of the true one.
        types: name -> Content-Type.
        asked: names in the order of the requests.
    """

    def __init__(self, port):
        self.address = f'http://127.0.0.1:{port}'
        self.files, self.promised, self.types, self.asked = {}, {}, {}, []


@contextlib.contextmanager
def serve():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.split('?')[0].lstrip('/')
            server.asked.append(name)
            if name not in server.files:
                self.send_error(404)
                return
            content = server.files[name]
            self.send_response(200)
            self.send_header('Content-Type', server.types.get(name, 'application/octet-stream'))
            self.send_header('Content-Length', str(server.promised.get(name, len(content))))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as listener:
        server = Server(listener.server_port)
        threading.Thread(target=listener.serve_forever, args=(0.01, ), daemon=True).start()
        yield server
        listener.shutdown()
