"""The benchmarks: do they measure what they say?"""
