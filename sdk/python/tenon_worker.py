"""Starts a worker: `python -X faulthandler -u tenon_worker.py --root DIR`, with its socket in TENON_WORKER_FD."""

from tenon.worker import main

if __name__ == "__main__":
    main()
