"""The labelling site: people open a link and judge by keyboard. Server-rendered; everything works by plain forms, JavaScript adds speed."""
