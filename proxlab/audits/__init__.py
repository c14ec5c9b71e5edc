"""Does a model hand its training images back, or do better on them than on others?"""
