"""The joining of videos without encoding them again."""
