"""The load test itself: does it judge rightly, time rightly, and end with the right code?"""
