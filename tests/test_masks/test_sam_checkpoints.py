import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from mmsgdfuse.masks import SAM_CHECKPOINTS, CheckpointError, default_checkpoint, download
from mmsgdfuse.masks.checkpoints import file_sha256, read_state_dict

CONTENT = bytes(range(256)) * 20_000  # 5 MB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    """A file server on this machine; its attributes say how it behaves and what was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers.get('Range')
            httpd.asked.append(asked)
            start = int(asked[len('bytes=') : -1]) if asked and httpd.ranges else 0
            if start >= len(CONTENT):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header('Content-Length', str(len(CONTENT) - start))
            self.end_headers()
            self.wfile.write(CONTENT[start : httpd.stop_at])

        def log_message(self, *args):
            pass

    httpd = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    httpd.asked, httpd.ranges, httpd.stop_at = [], True, None
    httpd.url = f'http://127.0.0.1:{httpd.server_port}/weights.pth'
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield httpd
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def test_the_published_checkpoints():
    assert set(SAM_CHECKPOINTS) == {'vit_b', 'vit_l', 'vit_h'}
    for checkpoint in SAM_CHECKPOINTS.values():
        assert len(bytes.fromhex(checkpoint.sha256)) == 32
        assert checkpoint.url.startswith('https://dl.fbaipublicfiles.com/segment_anything/')
    assert default_checkpoint('vit_b').as_posix() == 'checkpoints/sam_vit_b_01ec64.pth'
    with pytest.raises(ValueError, match='vit_b, vit_l, vit_h'):
        default_checkpoint('vit_x')


def test_sha256(tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(CONTENT)
    assert file_sha256(path) == DIGEST


class TestDownload:
    def test_a_verified_file_with_progress(self, server, tmp_path):
        steps = []
        path = tmp_path / 'new' / 'weights.pth'
        result = download(server.url, path, DIGEST, progress=lambda *step: steps.append(step))
        assert result == path
        assert path.read_bytes() == CONTENT
        assert [p.name for p in path.parent.iterdir()] == ['weights.pth']
        assert steps[-1] == (len(CONTENT), len(CONTENT))
        assert len(steps) > 2

    def test_what_is_there_is_not_fetched(self, server, tmp_path):
        path = tmp_path / 'weights.pth'
        path.write_bytes(CONTENT)
        download(server.url, path, DIGEST)
        assert server.asked == []

    def test_what_is_damaged_is_fetched(self, server, tmp_path):
        path = tmp_path / 'weights.pth'
        path.write_bytes(CONTENT[:-1])
        download(server.url, path, DIGEST)
        assert path.read_bytes() == CONTENT

    def test_an_interrupted_download_goes_on(self, server, tmp_path):
        path = tmp_path / 'weights.pth'
        server.stop_at = 3_000_000
        with pytest.raises(CheckpointError, match='put it at'):
            download(server.url, path, DIGEST)
        assert not path.exists()
        kept = path.with_name('weights.pth.part').stat().st_size
        assert 0 < kept <= 3_000_000
        server.stop_at = None
        steps = []
        download(server.url, path, DIGEST, progress=lambda *step: steps.append(step))
        assert server.asked == [None, f'bytes={kept}-']
        assert steps[0][0] > kept
        assert steps[-1] == (len(CONTENT), len(CONTENT))
        assert path.read_bytes() == CONTENT

    def test_a_server_without_ranges_starts_again(self, server, tmp_path):
        path = tmp_path / 'weights.pth'
        path.with_name('weights.pth.part').write_bytes(CONTENT[:1000])
        server.ranges = False
        download(server.url, path, DIGEST)
        assert path.read_bytes() == CONTENT

    def test_a_part_that_is_complete_is_only_verified(self, server, tmp_path):
        path = tmp_path / 'weights.pth'
        path.with_name('weights.pth.part').write_bytes(CONTENT)
        download(server.url, path, DIGEST)
        assert path.read_bytes() == CONTENT

    def test_wrong_bytes_are_not_kept(self, server, tmp_path):
        path = tmp_path / 'weights.pth'
        with pytest.raises(CheckpointError, match='nothing was kept'):
            download(server.url, path, '0' * 64)
        assert list(tmp_path.iterdir()) == []

    def test_offline_says_what_to_put_where(self, tmp_path):
        path = tmp_path / 'weights.pth'
        with pytest.raises(CheckpointError) as caught:
            download('http://127.0.0.1:9/weights.pth', path, DIGEST, timeout=2)
        for part in ('http://127.0.0.1:9/weights.pth', str(path), DIGEST, 'another machine'):
            assert part in str(caught.value)


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (exec, ('raise SystemExit("the trap was sprung")',))


class TestReadStateDict:
    def test_weights(self, tmp_path):
        path = tmp_path / 'weights.pth'
        torch.save(dict(a=torch.ones(2)), path)
        assert read_state_dict(path, 'vit_b')['a'].tolist() == [1, 1]

    def test_missing(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r'nix\.pth.*download_sam\.py vit_l'):
            read_state_dict(tmp_path / 'nix.pth', 'vit_l')
        with pytest.raises(FileNotFoundError, match='correct the path'):
            read_state_dict(tmp_path / 'nix.pth', 'mine')

    @pytest.mark.parametrize('content', [b'', b'nonsense', CONTENT[:5000], 'truncated'])
    def test_damaged(self, tmp_path, content):
        path = tmp_path / 'weights.pth'
        torch.save(dict(a=torch.ones(1000)), path)
        path.write_bytes(path.read_bytes()[:2000] if content == 'truncated' else content)
        with pytest.raises(CheckpointError, match=r'weights\.pth.*delete it and fetch it with'):
            read_state_dict(path, 'vit_b')

    def test_code_is_not_run(self, tmp_path):
        path = tmp_path / 'trap.pth'
        torch.save(dict(a=Trap()), path)
        with pytest.raises(CheckpointError, match='weights alone'):
            read_state_dict(path, 'vit_b')

    @pytest.mark.parametrize('content', [[1, 2], dict(model=dict(a=1)), torch.ones(2)])
    def test_something_else(self, tmp_path, content):
        path = tmp_path / 'other.pth'
        torch.save(content, path)
        with pytest.raises(CheckpointError, match='no dictionary of tensors'):
            read_state_dict(path, 'vit_b')
