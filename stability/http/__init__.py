"""What is asked over HTTP beside the stream: its operations, their descriptions, and the pages and badges."""
